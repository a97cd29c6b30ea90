"""`vsim lab`: JupyterLab, opened on the notebooks; with --voila they are served as pages without an editor.

With --present it is set for a projector (`present`), with --print nothing is opened: the notebooks are run and written
for paper (`printed`). With --recording the notebook is that of a recorded run (`opened`). With --shared one JupyterLab
serves a class (`shared`). All answer on loopback, and only to who has the token.
JupyterLab makes one of itself; Voila is told to, and prints the address that holds it. The page that Voila would open
has none and could but ask for it, so none is opened.

From a checkout (or an editable install, which points to one) the notebooks are opened where they
are. A wheel carries them inside this package; they are then copied to a folder of the user's,
and a file that differs there is the user's work: it stays.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from vsim.cli import values
from vsim.cli.main import Unavailable
from vsim.history import whole
from widgets.lab.opened import FOLDER, notebook
from widgets.lab.present import settle
from widgets.lab.printed import write

CHECKOUT = Path(__file__).resolve().parents[2]
PACKED = CHECKOUT / "widgets" / "_notebooks"
FIRST = "00_one_interrupt.ipynb"
SHARED = "/shared"
"""Where a class enters."""
CLASS = {"--LabApp.default_url": SHARED, "--ServerApp.jpserver_extensions": "widgets.lab.shared=True",
         "--ServerApp.ip": "127.0.0.1", "--MappingKernelManager.cull_idle_timeout": "1800",
         "--MappingKernelManager.cull_interval": "300"}
"""Jupyter's options for a class: kernels that nobody looks at end after half an hour."""
AT_ONCE = {"--ServerApp.kernel_websocket_connection_class": "widgets.lab.at_once.AtOnce"}
"""Jupyter's option by which a forecast follows its bit at once; not for who has the kernels behind a gateway."""


def register(parser: argparse.ArgumentParser) -> None:
    """open JupyterLab on the notebooks"""
    parser.description = "Open JupyterLab on the notebooks. Further options are JupyterLab's own."
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--port", metavar="N", type=values.count(0, 65535),
                        help="the port to listen on (default: 8888; 0: any)")
    parser.add_argument("--dir", metavar="FOLDER", type=values.place,
                        help="work on a copy of the notebooks in this folder (made if need be)")
    parser.add_argument("--voila", action="store_true",
                        help="serve the notebooks as pages (extra `voila`); further options are then Voila's")
    parser.add_argument("--shared", action="store_true",
                        help="for a class: each browser gets notebooks and kernels of its own, below --dir (default: "
                             "vsim-class); --ip=0.0.0.0 lets other computers in")
    parser.add_argument("--present", action="store_true",
                        help="for a projector: a notebook fills the window, large type, light theme; Shift+Enter steps")
    parser.add_argument("--print", metavar="FOLDER", type=values.place, dest="paper",
                        help="run the notebooks and write each as HTML, and as PDF where Chromium is found; names of "
                             "notebooks behind it print these alone")
    parser.add_argument("--recording", metavar="FILE", type=values.place,
                        help="open a recorded run (`vsim record`) in a notebook of its own, in --dir (default: "
                             f"{FOLDER})")
    parser.set_defaults(func=lab, rest=[])


def lab(args: argparse.Namespace) -> int:
    """Open the notebooks; on POSIX this process becomes JupyterLab or Voila. Unavailable: Voila is not installed."""
    if args.voila and find_spec("voila") is None:
        raise Unavailable('--voila needs Voila: python -m pip install voila')
    if args.shared and args.voila:
        raise values.Misused("lab: --shared and --voila: one of them; Voila gives each page a kernel of its own anyway")
    if args.paper is not None:
        for line in write(notebooks_folder(args.dir), args.paper, args.rest):
            print(f"vsim: {line}", flush=True)
        return 0
    if args.present:
        from jupyter_core.paths import jupyter_config_dir

        os.environ["JUPYTERLAB_SETTINGS_DIR"] = str(settle(Path(jupyter_config_dir())))
    first = FIRST
    if args.recording is not None:
        made = notebook(args.recording, (args.dir or Path(FOLDER)).resolve())
        folder, first = made.parent, made.name
    else:
        folder = class_folder(args.dir) if args.shared else notebooks_folder(args.dir)
    print(f"vsim: the notebooks are in {folder}", flush=True)
    if args.voila:
        print("vsim: open the address that Voila prints; it holds the token", flush=True)
        return become([sys.executable, "-m", "voila", str(folder), *voila_options(args)])
    return become([sys.executable, "-m", "jupyterlab", *jupyter_options(args, folder, first)])


def jupyter_options(args: argparse.Namespace, folder: Path, name: str = FIRST) -> list[str]:
    """JupyterLab's command line; what the user adds comes last, as it is, and in place of ours."""
    rest: list[str] = args.rest
    first = f"/lab/tree/{quote(name)}" if (folder / name).exists() else "/lab"
    if args.present:
        first = first.replace("/lab", "/doc", 1)    # one document, no side bars
    given = {word.partition("=")[0] for word in rest}
    gateway = "JUPYTER_GATEWAY_URL" in os.environ or any(word.startswith("--gateway") or "GatewayClient" in word
                                                         for word in given)
    ours = {"--ServerApp.root_dir": folder, "--LabApp.default_url": first, **({} if gateway else AT_ONCE),
            **(CLASS if args.shared else {})}
    given |= {"--ServerApp.ip"} & {f"--ServerApp.{word[2:]}" for word in given}
    options = [f"{name}={value}" for name, value in ours.items() if name not in given]
    if args.no_browser:
        options.append("--no-browser")
    if args.port is not None:
        options.append(f"--port={args.port}")
    return options + root_option(rest) + rest


def voila_options(args: argparse.Namespace) -> list[str]:
    """Voila's command line; what the user adds comes last. The lessons talk about their cells, so these are shown."""
    rest: list[str] = args.rest
    ours = {"strip_sources": "--strip_sources=False", "Voila.ip": "--Voila.ip=localhost",
            "token": "--Voila.auto_token=True"}
    options = [ours[word] for word in ours if not any(word in each.partition("=")[0] for each in rest)]
    return [*options, "--no-browser", *([f"--port={args.port}"] if args.port is not None else []), *rest]


def root_option(rest: list[str]) -> list[str]:
    """Jupyter refuses to run as root unless told; in a container root is the only user there is."""
    if getattr(os, "geteuid", lambda: 1)() != 0 or "--allow-root" in rest:
        return []
    print("vsim: running as root, so JupyterLab is started with --allow-root", flush=True)
    return ["--allow-root"]


def become(command: list[str]) -> int:
    """Run a command in place of this process; where there is no such thing, wait for its status."""
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)


def class_folder(wanted: Path | None) -> Path:
    """The folder of a class, made if need be; each browser that comes gets a folder in it."""
    folder = (wanted or Path("vsim-class")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print("vsim: one address for all: whoever has it, token included, can read and run everything here", flush=True)
    return folder


def lessons() -> Path:
    """Where the notebooks come from: the source tree, or inside this package where a wheel was installed."""
    return CHECKOUT / "notebooks" if (CHECKOUT / "pyproject.toml").is_file() else PACKED


def notebooks_folder(wanted: Path | None) -> Path:
    """The folder to open: the source tree's own, or a copy that this call brings up to date."""
    source = lessons()
    if source == PACKED:
        wanted = wanted or Path("vsim-notebooks")
    if wanted is None:
        return source
    for line in copy_missing(source, wanted):
        print(f"vsim: {line}")
    return wanted.resolve()


def copy_missing(source: Path, target: Path) -> Iterator[str]:
    """Copy what `target` does not have; yields a line for each file there that differs and is kept."""
    for file in sorted(path for path in source.rglob("*") if shipped(path.relative_to(source), path)):
        copy = target / file.relative_to(source)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            whole.write(copy, file.read_bytes())
        elif copy.read_bytes() != file.read_bytes():
            yield f"kept {copy}, which differs from the one shipped; rename it to get that one"


def shipped(relative: Path, path: Path) -> bool:
    """Whether a file of the notebooks' folder is a lesson or its data, not a trace of having run it."""
    return path.is_file() and not any(part.startswith((".", "__")) for part in relative.parts)
