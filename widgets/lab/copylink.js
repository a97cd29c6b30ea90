// A button that asks the kernel for the state as a link, puts its address on the clipboard, and shows what was copied.

// Where the plain page is: this very page, the one beside JupyterLite, or where the kernel was told.
const pageOf = (model) => {
  const lite = JSON.parse(document.getElementById("jupyter-config-data")?.textContent || "{}").vsimPageUrl;
  const given = document.documentElement.dataset.vsimPage || lite || model.get("page");
  const found = given ? new URL(given, location.href) : null;
  return found && /^https?:$/.test(found.protocol) ? `${found.origin}${found.pathname}` : "";
};

const element = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text, ...more });

async function copied(input) {
  try {
    await navigator.clipboard.writeText(input.value);
  } catch {
    input.select();
    return document.execCommand("copy");
  }
  return true;
}

function row(name, text, say) {
  const label = element("label", name), input = element("input", "", { value: text, readOnly: true, type: "text" });
  const button = element("button", "copy", { type: "button", className: "jupyter-button" });
  input.setAttribute("aria-label", name);
  input.onfocus = () => input.select();
  button.setAttribute("aria-label", `copy: ${name}`);
  button.onclick = async () => say(await copied(input) ? `Copied: ${name}.` : "Select it, and copy it by hand.");
  label.append(input);
  return { line: [label, button], input };
}

function render({ model, el }) {
  const button = element("button", "copy link", { type: "button", className: "jupyter-button",
    title: "this state as an address of the page, and as a line of Python" });
  const shown = element("div", "", { className: "vsim-linked", hidden: true });
  const told = element("p", "");
  told.setAttribute("role", "status");
  const say = (text) => { told.textContent = text; };
  const open = (on) => {
    shown.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
    const room = on ? shown.offsetParent.clientWidth - shown.offsetWidth - 4 : 0;
    shown.style.left = `${Math.max(4, Math.min(button.offsetLeft, room))}px`;
  };
  const answered = async ({ link, line, wrong }) => {
    const page = pageOf(model), rows = [];
    if (link && page) rows.push(row("on the page", `${page}#state=${link}`, say));
    if (link) rows.push(row("in a notebook", line, say));
    shown.replaceChildren(told, ...rows.flatMap((each) => each.line));
    open(true);
    if (wrong) say(wrong);
    else if (!await copied(rows[0].input)) say("Select it, and copy it by hand.");
    else say(page ? "Copied: the address on the page." : "Copied: the line of Python. No page of vsim site is known here.");
  };
  button.onclick = () => (shown.hidden ? model.send({ kind: "ask" }) : open(false));
  el.onkeydown = (event) => {
    if (event.key !== "Escape" || shown.hidden) return;
    event.stopPropagation();
    open(false);
    button.focus();
  };
  model.on("msg:custom", answered);
  open(false);
  el.append(button, shown);
  return () => model.off("msg:custom", answered);
}

export default { render };
