// Python of the plain page: Pyodide in a worker, so that the page moves while the machine works.
// The page sends {kind: "start", runtime, archive, code, state}, then {kind: "comm", id, text, buffers}.

let heard = null;

// Called by Python with a comm message; bytes stay bytes.
self.say = (type, content, metadata, buffers) => postMessage({ kind: "comm", type, content: JSON.parse(content),
  metadata: JSON.parse(metadata), buffers, parent: self.parent ?? "" });

async function start({ runtime, archive, code, state }) {
  const { loadPyodide } = await import(`${runtime}pyodide.mjs`);
  const python = await loadPyodide({ indexURL: runtime });
  postMessage({ kind: "stage", text: "unpacking the kit" });
  const place = python.runPython("import site; site.getsitepackages()[0]");
  python.unpackArchive(archive, "zip", { extractDir: place });
  python.FS.chdir(`${place}/example`);
  postMessage({ kind: "stage", text: state ? "opening the link" : "booting 288 vCPUs" });
  python.runPython(code);
  heard = python.globals.get("heard");
  const [model, wrong] = python.globals.get("open_bench")(state).toJs();
  postMessage(model ? { kind: "ready", model } : { kind: "failed", text: `This link cannot be opened. ${wrong}` });
}

self.onmessage = ({ data }) => {
  if (data.kind === "start") {
    start(data).catch((error) => postMessage({ kind: "failed", text: String(error.message ?? error) }));
    return;
  }
  self.parent = data.id;
  try {
    heard(data.text, data.buffers.map((each) => new Uint8Array(each)));
  } finally {
    self.parent = "";
    postMessage({ kind: "idle", id: data.id });
  }
};
