"""`vsim lab`: which folder is opened, what is passed to JupyterLab, and that nobody's work is lost."""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.jupyter_host import free_port
from vsim.cli.main import Unavailable
from vsim.cli.values import Misused
from vsim.history import whole
from widgets.lab import command, printed


@pytest.fixture
def launched(monkeypatch):
    """The command lines that would have become JupyterLab; `vsim lab` is run as a plain user."""
    lines = []
    monkeypatch.setattr(command, "become", lambda line: lines.append(line) or 0)
    monkeypatch.setattr(command.os, "geteuid", lambda: 1000, raising=False)
    return lines


@pytest.fixture
def wheel(monkeypatch, tmp_path):
    """As if installed from a wheel: no checkout around the package, two files in it."""
    packed = tmp_path / "site" / "widgets" / "_notebooks"
    (packed / "data").mkdir(parents=True)
    (packed / command.FIRST).write_text("first")
    (packed / "data" / "guest.cfg").write_text("vcpus=288")
    (packed / ".ipynb_checkpoints").mkdir()
    (packed / ".ipynb_checkpoints" / "old.ipynb").write_text("left behind")
    (tmp_path / "home").mkdir()
    monkeypatch.setattr(command, "CHECKOUT", tmp_path / "site")
    monkeypatch.setattr(command, "PACKED", packed)
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def lab(*argv):
    parser = ArgumentParser()
    command.register(parser)
    args, args_rest = parser.parse_known_args(argv)
    args.rest = args_rest
    return args.func(args)


def files(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("option", ["--dir", "--print"])
def test_a_folder_without_a_name_is_not_the_current_one(launched, capsys, monkeypatch, tmp_path, option):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        lab(option, "")
    assert f"argument {option}: an empty name" in capsys.readouterr().err
    assert launched == [] and list(tmp_path.iterdir()) == []


def test_for_a_projector_type_is_large_and_nothing_of_the_desk_is_changed(launched, monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", "mine")       # put back in the end
    assert lab("--present", "--no-browser") == 0
    assert f"--LabApp.default_url=/doc/tree/{command.FIRST}" in launched[0]
    assert os.environ["JUPYTERLAB_SETTINGS_DIR"] == str(tmp_path / "lab" / "vsim-present")
    (text,) = files(tmp_path).values()
    assert json.loads(text)["theme"] == "JupyterLab Light"
    assert int(json.loads(text)["overrides"]["content-font-size1"].removesuffix("px")) >= 20


def test_paper_has_the_notebooks_that_are_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(printed, "html", lambda path: path.stem)
    monkeypatch.setattr(printed, "to_pdf", lambda page, out: False)
    assert lab("--print", str(tmp_path), "03_six_names", "05_edge_level_eoi.ipynb") == 0
    assert files(tmp_path) == {f"{name}.html": name for name in ("03_six_names", "05_edge_level_eoi")}
    assert "so there is no PDF" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no notebook '99_none'; there are 00_one_interrupt, "):
        lab("--print", str(tmp_path), "99_none")


def test_a_checkout_opens_its_own_notebooks(launched):
    assert lab() == 0
    folder = Path(command.__file__).parents[2] / "notebooks"
    assert launched[0][:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={folder}" in launched[0]


def test_a_wheel_copies_its_notebooks_to_a_folder_that_it_names(launched, wheel, capsys):
    lab()
    assert files(wheel / "vsim-notebooks") == {command.FIRST: "first", "data/guest.cfg": "vcpus=288"}
    assert capsys.readouterr().out == f"vsim: the notebooks are in {wheel / 'vsim-notebooks'}\n"
    assert f"--LabApp.default_url=/lab/tree/{command.FIRST}" in launched[0]


def test_a_second_start_keeps_what_was_changed_and_says_so(launched, wheel, capsys):
    lab("--dir", "mine")
    (wheel / "mine" / command.FIRST).write_text("my work")
    (wheel / "mine" / "data" / "guest.cfg").unlink()
    capsys.readouterr()
    lab("--dir", "mine")
    assert files(wheel / "mine") == {command.FIRST: "my work", "data/guest.cfg": "vcpus=288"}
    assert "kept mine/00_one_interrupt.ipynb" in capsys.readouterr().out


def test_a_copy_that_fails_half_way_is_not_taken_for_work(launched, wheel, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(whole.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error:
        lab("--dir", "mine")
    assert error.value.filename == "mine/00_one_interrupt.ipynb" and files(wheel / "mine") == {} and launched == []


def test_an_unchanged_copy_is_not_worth_a_word(launched, wheel, capsys):
    lab()
    lab()
    assert "kept" not in capsys.readouterr().out


def test_options_reach_jupyterlab_and_the_users_own_come_last(launched):
    lab("--no-browser", "--port", "8899", "--ServerApp.token=x", "--debug")
    assert launched[0][-4:] == ["--no-browser", "--port=8899", "--ServerApp.token=x", "--debug"]


def test_an_option_of_the_users_replaces_ours(launched):
    """JupyterLab refuses to be told the same thing twice."""
    lab("--ServerApp.root_dir=elsewhere")
    assert [word for word in launched[0] if "root_dir" in word] == ["--ServerApp.root_dir=elsewhere"]


def test_a_port_that_is_no_number_is_refused(launched):
    with pytest.raises(SystemExit, match="2"):
        lab("--port", "http")
    assert launched == []


@pytest.mark.parametrize("more, count", [((), 1), (("--allow-root",), 1)])
def test_root_may_start_it_too(launched, monkeypatch, more, count):
    monkeypatch.setattr(command.os, "geteuid", lambda: 0, raising=False)
    lab(*more)
    assert launched[0].count("--allow-root") == count


@pytest.fixture
def voila(monkeypatch):
    """As if Voila were installed."""
    monkeypatch.setattr(command, "find_spec", lambda name: object())


SHOWN, LOOPBACK, TOKEN = "--strip_sources=False", "--Voila.ip=localhost", "--Voila.auto_token=True"


@pytest.mark.parametrize("more, options", [
    ((), [SHOWN, LOOPBACK, TOKEN, "--no-browser"]),
    (("--no-browser", "--port", "8866"), [SHOWN, LOOPBACK, TOKEN, "--no-browser", "--port=8866"]),
    (("--strip_sources=True", "--theme=token"), [LOOPBACK, TOKEN, "--no-browser", "--strip_sources=True",
                                                 "--theme=token"]),
    (("--Voila.ip=10.0.0.1",), [SHOWN, TOKEN, "--no-browser", "--Voila.ip=10.0.0.1"]),
    *(((own,), [SHOWN, LOOPBACK, "--no-browser", own]) for own in ("--token", "--token=x", "--Voila.token=x",
                                                                   "--Voila.auto_token=False")),
])
def test_voila_serves_the_same_notebooks_with_their_code_to_who_has_the_token(launched, voila, capsys, more, options):
    assert lab("--voila", *more) == 0
    folder = Path(command.__file__).parents[2] / "notebooks"
    assert launched == [[sys.executable, "-m", "voila", str(folder), *options]]
    assert "open the address that Voila prints; it holds the token" in capsys.readouterr().out


@pytest.mark.skipif(find_spec("voila") is None, reason="no Voila")
def test_voila_asks_for_the_token(tmp_path):
    """Its options are Voila's own business: whether they do what they are for is asked of Voila."""
    (tmp_path / "pages").mkdir()
    environment = {**os.environ, **{f"JUPYTER_{kind}_DIR": str(tmp_path) for kind in ("CONFIG", "DATA", "RUNTIME")}}
    options = command.voila_options(Namespace(port=free_port(), rest=["--Voila.port_retries=0"]))
    line = [sys.executable, "-m", "voila", str(tmp_path / "pages"), *options]
    with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = next(each.strip() for each in process.stderr if "://" in each)
            assert address.startswith("http://localhost:")
            assert urlopen(address).url == address
            assert "/login" in urlopen(address.partition("?")[0]).url
        finally:
            process.terminate()


def test_voila_where_there_is_none_is_told_with_what_to_install(launched, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="pip install voila"):
        lab("--voila")
    assert launched == []


@pytest.mark.parametrize("more, address", [((), "127.0.0.1"), (("--ip=0.0.0.0",), None),
                                           (("--ServerApp.ip=0.0.0.0",), None)])
def test_a_class_is_on_loopback_unless_asked_otherwise(launched, tmp_path, capsys, more, address):
    assert lab("--shared", "--dir", str(tmp_path / "class"), *more) == 0
    assert [word.partition("=")[2] for word in launched[0] if word.startswith("--ServerApp.ip=")] == (
        [address] if address else [word.partition("=")[2] for word in more if word.startswith("--ServerApp")])
    assert f"--ServerApp.root_dir={tmp_path / 'class'}" in launched[0] and (tmp_path / "class").is_dir()
    assert "--ServerApp.jpserver_extensions=widgets.lab.shared=True" in launched[0]
    assert "whoever has it, token included, can read and run everything here" in capsys.readouterr().out


@pytest.mark.parametrize("more, variables, ours", [
    ((), {}, True), (("--gateway-url=http://hub",), {}, False), (("--GatewayClient.url=http://hub",), {}, False),
    ((), {"JUPYTER_GATEWAY_URL": "http://hub"}, False),
    (("--ServerApp.kernel_websocket_connection_class=own.Class",), {}, False)])
def test_what_a_kernel_says_is_not_held_back_unless_it_is_behind_a_gateway(launched, monkeypatch, tmp_path, more,
                                                                            variables, ours):
    for each in variables.items():
        monkeypatch.setenv(*each)
    assert lab("--dir", str(tmp_path), *more) == 0
    assert ("--ServerApp.kernel_websocket_connection_class=widgets.lab.at_once.AtOnce" in launched[0]) is ours


def test_a_class_is_not_served_by_voila(launched, voila):
    with pytest.raises(Misused, match="--shared and --voila: one of them"):
        lab("--shared", "--voila")
    assert launched == []
