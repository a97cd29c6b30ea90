"""What the site is made of: archives that are the same each time, a list of packages, a page of one file."""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from argparse import ArgumentParser
from hashlib import sha256

import pytest

from tests.places import DATA, LESSONS, ROOT
from vsim.cli.main import Unavailable
from vsim.cli.values import Misused
from widgets.site import command, gather, kit, lite, needs, plain

MODULES = "".join(f'define("{name}",[],(()=>({{}})));\n' for name in (*plain.KEPT, "@jupyter-widgets/base7"))


def wheel(folder, name, version="1.0", files=(), needs=""):
    """A wheel in a folder; its file."""
    title, content = kit.packed(name, version, files, needs)
    (folder / title).write_bytes(content)
    return folder / title


@pytest.fixture
def libraries(tmp_path):
    return [wheel(tmp_path, "anywidget", files=[("anywidget/__init__.py", b"pass"), ("anywidget/tests/big.py", b"pass"),
                                                ("anywidget/nbextension/index.js", b"define([], () => ({}));")]),
            wheel(tmp_path, "comm", files=[("comm.py", b"pass")])]


def test_an_archive_is_the_same_each_time(libraries):
    assert kit.wheel() == kit.wheel()
    assert kit.bundle(libraries) == kit.bundle(libraries)


def test_the_bundle_has_what_runs_in_the_page_and_nothing_else(libraries):
    with zipfile.ZipFile(io.BytesIO(kit.bundle(libraries))) as packed:
        names = {*packed.namelist()}
    assert {"vsim/machine.py", "widgets/lab/bench.py", "widgets/map/map.css", "widgets/map/js/view.js", "comm.py",
            "anywidget/__init__.py", "example/big.cfg", "example/big.lspci"} <= names
    assert not [name for name in names if name.startswith(("widgets/site/", "widgets/share/")) or "tests/" in name]


def test_what_the_page_has_of_ours_imports_without_the_rest(tmp_path):
    """The bundle alone, beside the libraries that are installed here."""
    with zipfile.ZipFile(io.BytesIO(kit.bundle([]))) as packed:
        packed.extractall(tmp_path)
    code = (f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from widgets.lab import Lab; import vsim; "
            "lab = Lab.from_config('example/big.cfg', lspci='example/big.lspci'); print(lab.bench.tab('guest').title)")
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "guest"), done.stderr


def test_the_list_names_what_is_there_and_only_that(tmp_path):
    (tmp_path / "pyodide-lock.json").write_text('{"info": {"python": "3.14"}, "packages": {"numpy": {}}}')
    made = [wheel(tmp_path, "net_x", files=[("net_x/__init__.py", b""), ("net_x/data.txt", b"")],
                  needs="Requires-Dist: numpy\nRequires-Dist: Type.Ext >=4 ; python_version < '4'\n"
                        "Requires-Dist: comm ; extra == 'more'\n"),
            wheel(tmp_path, "type-ext", files=[("type_ext.py", b"")]), wheel(tmp_path, "comm")]
    found = lite.locked(tmp_path, made)
    assert found["info"] == {"python": "3.14"}
    row = found["packages"]["net-x"]
    assert (row["imports"], row["depends"]) == (["net_x"], ["type-ext"])
    assert row["sha256"] == sha256(made[0].read_bytes()).hexdigest()
    assert found["packages"]["type-ext"]["imports"] == ["type_ext"]
    assert sorted(found["packages"]) == ["comm", "net-x", "type-ext"]


def test_what_a_kernel_loads_first_is_taken_or_comes_with_it():
    taken = {lite.normal(each.partition("==")[0]) for each in (*needs.LIBRARIES, *needs.KERNEL_LIBRARIES)}
    shims = {"ipykernel", "piplite", "pyodide-kernel", "widgetsnbextension"}
    assert {*lite.PRELOADED} <= taken | shims | {"vsim-kit", needs.LEFT_OUT}


def test_the_first_page_leads_to_every_lesson_and_to_the_bench():
    made = lite.entrance()
    names = sorted(path.name for path in LESSONS.glob("*.ipynb"))
    assert re.findall(r'<li><a href="lab/index.html\?path=([^"]+)">\w[^<#]+</a>', made) == names
    assert f'path={names[0]}">The first lesson' in made and f'href="{plain.NAME}"' in made
    assert re.findall(r"<script([^>]*)>(.*?)</script>", made) == [
        (' type="application/json" id="jupyter-config-data" data-jupyter-lite-root="."', "{}")]  # JupyterLite reads it
    assert not re.search(r"https?:", made)


def test_no_name_of_the_data_makes_jupyterlite_read_it_as_one_json_value():
    """To its drive a file is JSON when `json` is in what follows a dot of its name, and such a file is not there."""
    assert [each.name for each in DATA.iterdir() if "json" in "".join(each.suffixes)] == []


def test_packages_come_from_the_site_alone():
    settings = json.dumps(lite.settings())
    assert '"disablePyPIFallback": true' in settings and "://" not in settings


def test_the_page_is_one_file_that_may_load_from_its_own_place_alone(libraries):
    page = plain.page(MODULES, libraries)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert "default-src 'self'" in policy and "connect-src 'self'" in policy and "//" not in policy
    assert not re.search(r'(src|href)="(?!data:,)', page)
    assert len(re.findall(r"<script", page)) == len(re.findall(r"</script>", page)) == 6
    assert "base7" not in plain.chosen(MODULES)


def test_widgets_of_another_build_are_told():
    with pytest.raises(ValueError, match=r"html-manager@\S+ has no module @jupyter-widgets/controls; it has"):
        plain.chosen('define("@jupyter-widgets/base",[],0)')


# --- the command ---


def arguments(*words):
    parser = ArgumentParser()
    command.register(parser)
    return parser.parse_args(words)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Misused, match="which holds other things than a site"):
        command.site(arguments(str(tmp_path)))
    with pytest.raises(OSError, match=r"thesis\.txt"):      # before anything is fetched
        command.site(arguments(str(tmp_path / "thesis.txt" / "site")))
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_former_site_is_replaced_and_what_lies_beside_it_stays(tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    for folder, name in ((new, "build/new.js"), (old, "build/old.js"), (old, ".git/config"), (old, "bench.html")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    command.put(new, old)
    assert sorted(each.relative_to(old).as_posix() for each in old.rglob("*") if each.is_file()) == [
        ".git/config", "bench.html", "build/new.js"]


def test_without_npm_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Unavailable, match="needs npm"):
        gather.npm(tmp_path, needs.RUNTIME)


def test_a_package_is_unpacked_below_its_folder_and_nowhere_else(tmp_path):
    def packed(*members):
        with tarfile.open(tmp_path / "p.tgz", "w:gz") as archive:
            for name, kind in members:
                member = tarfile.TarInfo(name)
                member.type, member.size, member.linkname = kind, 2 * (kind == tarfile.REGTYPE), "/etc/passwd"
                archive.addfile(member, io.BytesIO(b"ok"))
        return tmp_path / "p.tgz"

    gather.unpack(packed(("package/a/b.js", tarfile.REGTYPE), ("package/link", tarfile.SYMTYPE)), tmp_path / "into")
    assert [each.name for each in (tmp_path / "into").rglob("*") if each.is_file()] == ["b.js"]
    for name in ("../out", "/out", "package/../../out"):
        with pytest.raises(ValueError, match="leads out of the folder"):
            gather.unpack(packed((name, tarfile.REGTYPE)), tmp_path / "into")


def test_a_client_that_fails_is_told_in_its_own_words():
    with pytest.raises(Unavailable, match=r"failed:\nno such package"):
        gather.run([sys.executable, "-c", "import sys; sys.exit('no such package')"])


@pytest.mark.parametrize("name", [*needs.LIBRARIES, *needs.KERNEL_LIBRARIES])
def test_a_library_is_taken_in_one_version(name):
    assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", name)


def test_the_extensions_are_those_of_the_libraries():
    """The front end's half of a widget and Python's have to speak the same protocol."""
    assert {each for each in needs.BUILDERS if each.startswith("anywidget")} <= {*needs.LIBRARIES}
    assert needs.RUNTIME.startswith("pyodide@3") and (ROOT / "widgets" / "site" / "page" / "bench.html").is_file()
