"""What the site takes from the registries of Python and npm, by name and version: a build is the same next year."""

RUNTIME = "pyodide@314.0.6"
"""Python for the browser, from npm. Its version is the one that `BUILDERS`' kernel was made for."""
RUNTIME_FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
"""What a page loads of it; the list of packages, `pyodide-lock.json`, is our own."""

WIDGETS = "@jupyter-widgets/html-manager@1.0.15"
"""Jupyter's widgets for a page without Jupyter, from npm."""
WIDGETS_FILE = "dist/libembed-amd.js"

LIBRARIES = ("anywidget==0.11.0", "comm==0.2.3", "ipywidgets==8.1.9", "psygnal==0.16.1", "traitlets==5.16.1",
             "typing-extensions==4.16.0")
"""What the bench needs; wheels of pure Python."""
KERNEL_LIBRARIES = (
    "asttokens==3.0.2", "decorator==5.3.1", "executing==2.3.0", "ipython==9.12.0", "ipython-pygments-lexers==1.1.1",
    "matplotlib-inline==0.2.2", "micropip==0.11.1", "networkx==3.7", "packaging==26.0", "prompt-toolkit==3.0.53",
    "pure-eval==0.2.4", "pygments==2.21.0", "stack-data==0.6.3", "wcwidth==0.9.4")
"""What a notebook's kernel needs besides; networkx is loaded by the cells that ask for it."""
LEFT_OUT = "jedi"
"""What the kernel wants to have installed and does without: IPython completes names without its five megabytes."""

BUILDERS = ("jupyterlite-core==0.8.6", "jupyterlite-pyodide-kernel==0.8.6", "jupyter-server>=2.15",
            "jupyterlab-widgets==3.0.17", "anywidget==0.11.0")
"""What builds JupyterLite, and the extensions that it takes over. They live in an environment that is thrown away: in
JupyterLab's own the kernel would be an extension that cannot be loaded.
"""
