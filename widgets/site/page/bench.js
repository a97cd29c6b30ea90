// The plain page: a widget manager whose kernel is the worker, and what is said while it starts.

const MODULES = { module: { uri: location.href } };

// Jupyter's widgets come as AMD modules, each behind those that it needs: nothing more is asked of a loader.
window.define = (...given) => {
  const make = given.pop(), needs = given.pop(), name = given.pop() ?? "anywidget";
  MODULES[name] = make(...needs.map((each) => MODULES[each] ?? {}));
};
window.define.amd = {};

const bytesOf = (name) => Uint8Array.from(atob(document.getElementById(name).textContent), (each) => each.charCodeAt(0));

async function unpacked(name) {
  return new Response(new Blob([bytesOf(name)]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

function runScript(text) {
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
  script.remove();
}

// One end of a comm. Widgets wait for the kernel's rest before they send on, and know an echo by its parent.
class Comm {
  constructor(id, target, kernel) {
    Object.assign(this, { comm_id: id, target_name: target, kernel });
  }

  send(data, callbacks, metadata, buffers) {
    return this.kernel.send({ comm_id: this.comm_id, data }, callbacks, buffers);
  }

  open() { return ""; }

  close() { return ""; }

  on_msg(call) { this.hears = call; }

  on_close(call) { this.ends = call; }
}

class Kernel {
  constructor(manager, worker) {
    Object.assign(this, { manager, worker, comms: new Map(), waiting: new Map(), sent: 0, order: Promise.resolve() });
  }

  send(content, callbacks, buffers = []) {
    const id = `page-${this.sent += 1}`;
    this.waiting.set(id, callbacks?.iopub?.status);
    const bytes = buffers.map((each) => each.buffer ? each.buffer.slice(each.byteOffset, each.byteOffset + each.byteLength)
      : each);
    this.worker.postMessage({ kind: "comm", id, text: JSON.stringify(content), buffers: bytes });
    return id;
  }

  idle(id) {
    this.waiting.get(id)?.({ content: { execution_state: "idle" } });
    this.waiting.delete(id);
  }

  // A message of Python, in the order in which it was sent.
  hear({ type, content, metadata, buffers, parent }) {
    const message = { content, metadata, parent_header: { msg_id: parent }, header: { msg_type: type },
      buffers: buffers.map((each) => new DataView(each.buffer, each.byteOffset, each.byteLength)) };
    if (type === "comm_open") {
      const comm = new Comm(content.comm_id, content.target_name, this);
      this.comms.set(content.comm_id, comm);
      this.manager.handle_comm_open(comm, message).catch((error) => fail(error.message));
    } else if (type === "comm_msg") {
      this.comms.get(content.comm_id)?.hears?.(message);
    } else {
      this.comms.get(content.comm_id)?.ends?.(message);
      this.comms.delete(content.comm_id);
    }
  }
}

const told = document.getElementById("told");

// What happens, and the way out where it is a link's doing: the worker ends with the page.
function tell(text, wayOut) {
  told.textContent = text;
  if (!wayOut) return;
  const example = document.createElement("a");
  example.href = location.pathname;
  example.textContent = "Open the example instead";
  told.append(example);
}

function fail(text) {
  told.className = "failed";
  tell(text, true);
}

async function show(manager, id) {
  const view = await manager.create_view(await manager.get_model(id));
  await manager.display_view(view, document.getElementById("bench"));
  told.remove();
  document.body.dataset.ready = String(Math.round(performance.now()));
}

async function begin() {
  const runtime = new URL("static/pyodide/", location.href).href;
  const worker = new Worker(URL.createObjectURL(new Blob([document.getElementById("worker").textContent],
    { type: "text/javascript" })), { type: "module" });
  worker.onerror = (error) => fail(error.message || "the runtime beside this page did not load");
  const state = new URLSearchParams(location.hash.slice(1)).get("state") ?? "";
  worker.postMessage({ kind: "start", runtime, archive: bytesOf("archive").buffer, state,
    code: document.getElementById("start").textContent });
  runScript(await unpacked("widgets"));
  runScript(await unpacked("anywidget"));
  const manager = new MODULES["@jupyter-widgets/html-manager"].HTMLManager({
    loader: (name) => Promise.resolve(MODULES[name]) });
  const kernel = new Kernel(manager, worker);
  worker.onmessage = ({ data }) => {
    if (data.kind === "comm") kernel.hear(data);
    else if (data.kind === "idle") kernel.idle(data.id);
    else if (data.kind === "stage") tell(`${data.text} ...`, state);
    else if (data.kind === "ready") show(manager, data.model).catch((error) => fail(error.message));
    else fail(data.text);
  };
}

document.documentElement.dataset.vsimPage = location.pathname;
addEventListener("hashchange", () => location.reload());
begin().catch((error) => fail(error.message));
