// A table whose rows a reader chooses: by a click, or by the button that each row's interrupt is.
// Every cell is set as text. The row of now stays in sight; the page itself is never scrolled.

function cell(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function head(names) {
  const row = document.createElement("tr");
  names.forEach((name) => {
    const made = cell("th", name || "mark");
    made.scope = "col";
    if (!name) made.className = "vsim-hidden";
    row.append(made);
  });
  const made = document.createElement("thead");
  made.append(row);
  return made;
}

function key(serial, choose) {
  const made = document.createElement("td"), button = cell("button", String(serial));
  button.type = "button";
  button.setAttribute("aria-label", `interrupt ${serial}: why`);
  button.addEventListener("click", () => choose(serial));
  made.append(button);
  return made;
}

function line([serial, marks, cells], column, choose) {
  const row = document.createElement("tr");
  row.className = marks;
  cells.forEach((text, n) => row.append(n === column && serial ? key(serial, choose) : cell("td", text)));
  if (marks.split(" ").includes("now")) row.setAttribute("aria-current", "true");
  row.dataset.serial = serial;
  if (serial) row.addEventListener("click", () => choose(serial));
  return row;
}

function render({ model, el }) {
  const box = document.createElement("div"), table = document.createElement("table");
  box.className = "vsim-rows";
  box.tabIndex = 0;
  box.dataset.lmSuppressShortcuts = "true";  // or arrows are the notebook's
  box.setAttribute("role", "region");
  box.append(table);
  el.append(box);

  const choose = (serial) => { model.set("chosen", serial); model.save_changes(); };
  const mark = () => {
    for (const row of table.querySelectorAll("tbody tr")) {
      const on = model.get("chosen") > 0 && Number(row.dataset.serial) === model.get("chosen");
      row.classList.toggle("chosen", on);
      row.querySelector("button")?.setAttribute("aria-pressed", on);
    }
  };
  const draw = () => {
    const focused = table.contains(document.activeElement) ? document.activeElement.textContent : null;
    const heads = model.get("heads"), body = document.createElement("tbody");
    body.append(...model.get("rows").map((row) => line(row, heads.indexOf("interrupt"), choose)));
    table.replaceChildren(head(heads), body);
    table.setAttribute("aria-label", model.get("label"));
    box.setAttribute("aria-label", model.get("label"));
    mark();
    if (focused) [...table.querySelectorAll("button")].find((each) => each.textContent === focused)?.focus();
    const now = table.querySelector("tr.now");
    box.scrollTop = now ? now.offsetTop - box.clientHeight + 3 * now.offsetHeight : box.scrollHeight;
  };
  model.on("change:rows", draw);
  model.on("change:chosen", mark);
  draw();
  requestAnimationFrame(draw);  // once laid out, so that the row of now is in sight
  return () => { model.off("change:rows", draw); model.off("change:chosen", mark); };
}

export default { render };
