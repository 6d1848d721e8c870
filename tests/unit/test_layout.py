"""The house: a folder imports only from those above it, and a module stays small enough to be read."""

import ast
import graphlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]

# Each folder imports from those above it, and only from those that its row names; its own modules freely, but in no
# circle. "" is lib itself: what may go wrong, what may be shown, what ends a pass.
FOLDERS = {
    "": "",
    "config": "",
    "net": "",
    "store": "",
    "auth": "config net store",
    "mail": "config",
    "report": "store",
    "line": "config store report",
    "delivery": "config mail store report",
    "pop": "config net auth store mail report delivery",
    "smtp": "config net auth mail report delivery",
    "run": "config net store auth report line delivery pop smtp",
    "moving": "config",
    "commands": "config net store auth mail report line delivery pop smtp run moving",
    "popfetch_batch": "config net store auth mail report line delivery pop smtp run commands",
}

LONGEST_MODULE = 400
LONGEST_FUNCTION = 40
DEEPEST = 3
DRAWERS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc", "tools"}
POSIX_ONLY = {"fcntl", "pwd", "grp", "resource", "termios"}
NETWORK = {"ssl", "select", "selectors", "asyncio"}
NAME_ONLY = {"gethostname"}  # of socket: what tells this machine's name and opens nothing
# What can neither be given a deadline nor be cut goes to a thread; it may be a name that is looked up.
START_THREADS = {"aside"}
THREADS = {"Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor", "Process"}
NO_TUPLES = {"Secret", "Account"}  # a tuple shows a password as one of its parts, and caches nothing
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.TryStar, ast.Match)

# What things were called before they got the names of RFC 1939, RFC 5321 and other mail systems.
OLD_WORDS = re.compile(
    r"\b(parcel|errand|outbox|clerk|streak|consign|courier|ledger|visit|desk|workplace)(s|ed)?\b"
    r"|\b(Peer|Lost|Silence)Error\b",
    re.IGNORECASE,
)
COURIER = ("Courier takes four", "Courier's four")  # a mail server of that name

Function = ast.FunctionDef | ast.AsyncFunctionDef
SOURCES = [*sorted((HERE / "lib").rglob("*.py")), *HERE.glob("popfetch_batch.py")]


def name(path: Path) -> str:
    """Return what tells a module from all others: `errors`, `pop.session`, `popfetch_batch`."""
    parts = path.relative_to(HERE).with_suffix("").parts
    return ".".join(parts[1:] or parts)


PATHS = {name(path): path for path in SOURCES if path.stem != "__init__"}
MODULES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in PATHS.items()}

each_module = pytest.mark.parametrize("module", MODULES)


def folder(module: str) -> str:
    """Return the folder of *module*; popfetch_batch is one of its own."""
    return module if module == "popfetch_batch" else module.rpartition(".")[0]


def own_imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of ours that *tree* imports, at its top or within a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("lib."):
            module = str(node.module).removeprefix("lib").removeprefix(".")
            names = (".".join(filter(None, (module, alias.name))) for alias in node.names)
            yield from (name if name in MODULES else module for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("lib.") for alias in node.names if alias.name.startswith("lib."))


def foreign_imports(tree: ast.AST) -> set[str]:
    """Return the top-level packages that are imported anywhere in *tree*."""
    plain = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    named = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in plain | named}


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is executed when the module is imported: everything but the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, Function | ast.Lambda):
            yield node
            yield from at_import(node)


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def depth(node: ast.AST) -> int:
    """Return how deep blocks stand within each other; an elif is as deep as its if, a function begins anew."""
    below = [0]
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        below.append(depth(child) - is_elif)
    return max(below) + isinstance(node, BLOCKS)


def all_of(module: str, wrong: Callable[[Function], bool]) -> list[str]:
    return [f"{node.name} (line {node.lineno})" for node in functions(MODULES[module]) if wrong(node)]


@each_module
def test_a_folder_imports_only_what_its_row_allows(module: str) -> None:
    assert folder(module) in FOLDERS, f"{folder(module)}/ is new: give it a row in the table of {Path(__file__).name}"
    allowed = {"", folder(module), *FOLDERS[folder(module)].split()}
    wrong = sorted(other for other in set(own_imports(MODULES[module])) if folder(other) not in allowed)
    assert not wrong, f"{module} imports {', '.join(wrong)}"


def test_the_table_has_one_order() -> None:
    above: list[str] = []
    for row, allowed in FOLDERS.items():
        assert set(allowed.split()) <= set(above)
        above.append(row)


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {module: set(own_imports(tree)) for module, tree in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()


@each_module
def test_a_module_can_be_read_in_one_sitting(module: str) -> None:
    assert len(PATHS[module].read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


@each_module
def test_no_function_is_long(module: str) -> None:
    assert all_of(module, lambda node: (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION) == []


@each_module
def test_no_function_is_deep(module: str) -> None:
    assert all_of(module, lambda node: depth(node) > DEEPEST) == []


@each_module
def test_no_module_is_a_drawer(module: str) -> None:
    assert not DRAWERS & set(re.split("[._]", module))


@each_module
def test_importing_a_module_needs_no_posix(module: str) -> None:
    tree = ast.Module([n for n in at_import(MODULES[module]) if isinstance(n, ast.Import | ast.ImportFrom)], [])
    assert foreign_imports(tree) & POSIX_ONLY == set()


@each_module
def test_only_net_knows_the_network(module: str) -> None:
    tree = MODULES[module]
    used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "socket"}
    imported = {
        a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "socket" for a in n.names
    }
    assert folder(module) == "net" or not (foreign_imports(tree) & NETWORK | (used | imported) - NAME_ONLY)


@each_module
def test_threads_start_in_run_only(module: str) -> None:
    calls = (node.func for node in ast.walk(MODULES[module]) if isinstance(node, ast.Call))
    names = {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls}
    assert folder(module) == "run" or module in START_THREADS or names & THREADS == set()


@each_module
def test_a_fact_is_a_tuple(module: str) -> None:
    classes = [node for node in ast.walk(MODULES[module]) if isinstance(node, ast.ClassDef)]
    frozen = {c.name for c in classes if any("frozen=True" in ast.unparse(d) for d in c.decorator_list)}
    assert frozen <= NO_TUPLES, (
        "what @dataclass(frozen=True) writes is compiled at every start; a NamedTuple costs a seventh"
    )


def test_nothing_is_called_as_it_was_before() -> None:
    texts = [*SOURCES, *(HERE / "tests").rglob("*.py"), *HERE.glob("*.md"), *(HERE / "docs").rglob("*.md")]
    lines = ((path, line) for path in texts for line in path.read_text(encoding="utf-8").splitlines())
    found = [
        f"{path.name}: {line}"
        for path, line in lines
        if OLD_WORDS.search(line) and not any(one in line for one in COURIER)
    ]
    assert [line for line in found if not line.startswith(Path(__file__).name)] == []


def test_lib_is_not_hidden_from_git(need: Callable[[str], str]) -> None:
    ignored = subprocess.run([need("git"), "-C", str(HERE), "check-ignore", "-q", "lib/errors.py"], check=False)
    assert ignored.returncode == 1


def test_depth_counts_blocks_and_takes_elif_for_if() -> None:
    code = "def f():\n if a:\n  pass\n elif b:\n  for c in d:\n   pass\n elif e:\n  pass\n"
    assert depth(ast.parse(code).body[0]) == 2
