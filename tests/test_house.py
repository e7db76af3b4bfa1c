"""The rules of the house that no linter knows, read from the source itself.

Each rule is a function from source (or an object) to a list of faults in words. It is run twice: on the repository,
where it must find nothing, and on a small planted fault, where it must speak, so that a rule gone blind is noticed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from prefs.core import errors

ROOT = Path(__file__).resolve().parents[1]

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400

# A module over the limit says here why it is better whole.
REASONS: dict[str, str] = {
    "prefs/bootstrap.py": "the only place that chooses adapters, for every command alike",
    "clients/python/src/guestprefs_client/models.py": "made from clients/openapi.json, read by nobody from end to end",
    "prefs/ports.py": "every port and its promises on one page",
    "prefs/store/tables.py": "every table on one page",
    "tests/test_house.py": "one list of rules, each beside the test that it can fail",
    "prefs/core/access.py": "the tables that decide stand together, so that a reader sees all of them at once",
}

# Routes whose answer is ready-made text or bytes, so that there is no model to declare.
PREPARED_BYTES: dict[str, str] = {
    "metrics": "Prometheus text",
    "get_changes": "server-sent events",
}

TOP_LEVEL = {
    *("api", "prefs", "clients", "loadtests", "tests", "deploy", "Dockerfile", "README.md"),
    *(
        "SECURITY.md",
        "pyproject.toml",
        "Makefile",
        "requirements.txt",
        "requirements-dev.txt",
        "requirements-tools.txt",
    ),
    *(
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE",
        ".env.example",
        ".ci",
        ".gitignore",
        ".dockerignore",
    ),
}

# What the core may know: types and arithmetic. No clock, no chance, no file, no network, no log.
CORE_IMPORTS = {
    *("__future__", "abc", "bisect", "builtins", "collections", "collections.abc", "dataclasses", "datetime"),
    *("decimal", "re", "string", "types", "typing", "unicodedata", "zoneinfo"),
    *(
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "hmac",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "operator",
        "base64",
    ),
}
CORE_BUILTINS_BANNED = {"open", "print", "input", "__import__", "exec", "eval", "compile", "breakpoint"}
CLOCK_CALLS_BANNED = {"now", "utcnow", "today"}

NAMES_BANNED = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}

# Written in two halves, so that this file does not hold what it looks for.
INDEX_HOSTS = ["pypi" + ".org", "python" + "hosted.org", "npmjs" + ".org", "npmjs" + ".com/-/", "deb.debian" + ".org"]
MACHINE_FOLDERS = ["wor" + "k/", "roo" + "t/", "home" + r"/\w+/", "User" + r"s/\w+/"]
MACHINE_PATHS = re.compile(r"(?<![\w./$}>~-])/(?:" + "|".join(MACHINE_FOLDERS) + ")")


# ---- reading the repository ----


@cache
def tracked() -> tuple[str, ...]:
    """Files under version control, and those not yet added that are not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(name for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file())


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    for name in tracked():
        if name.endswith(".py") and (not folders or name.startswith(tuple(f"{folder}/" for folder in folders))):
            yield name, (ROOT / name).read_text(encoding="utf-8")


def texts() -> Iterator[tuple[str, str]]:
    for name in tracked():
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or another file that no one reads as text


def all_faults(rule: Callable[[str, str], Iterable[str]], found: Iterable[tuple[str, str]]) -> list[str]:
    return [fault for name, text in found for fault in rule(name, text)]


# ---- size and names ----


def long_functions(name: str, text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{name}:{node.lineno} {node.name} has {lines} lines; {FUNCTION_LINES_MAX} are allowed"


def long_modules(name: str, text: str) -> Iterator[str]:
    lines = len(text.splitlines())
    if lines > MODULE_LINES_MAX and name not in REASONS:
        yield f"{name} has {lines} lines; over {MODULE_LINES_MAX} it needs a reason in REASONS"


def nameless_modules(name: str, text: str) -> Iterator[str]:
    for part in PurePosixPath(name).with_suffix("").parts:
        if part in NAMES_BANNED:
            yield f"{name}: '{part}' says nothing; name what it holds"


def test_functions_fit_on_a_screen() -> None:
    assert all_faults(long_functions, sources()) == []


def test_modules_are_short_or_say_why() -> None:
    assert all_faults(long_modules, sources()) == []
    lines = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in REASONS}
    assert [name for name, count in lines.items() if count <= MODULE_LINES_MAX] == [], "no reason is needed any more"


def test_modules_are_named_for_what_they_hold() -> None:
    assert all_faults(nameless_modules, sources()) == []


@pytest.mark.parametrize("lines, faulty", [(FUNCTION_LINES_MAX, False), (FUNCTION_LINES_MAX + 1, True)])
def test_the_length_rules_can_fail(lines: int, faulty: bool) -> None:
    text = "async def f():\n" + "    pass\n" * (lines - 1)
    assert bool(list(long_functions("planted.py", text))) is faulty
    assert list(long_modules("planted.py", "\n" * MODULE_LINES_MAX)) == []
    assert list(long_modules("planted.py", "\n" * (MODULE_LINES_MAX + 1)))


def test_the_name_rule_can_fail() -> None:
    assert list(nameless_modules("prefs/utils.py", ""))
    assert list(nameless_modules("prefs/common/units.py", ""))
    assert list(nameless_modules("prefs/core/units.py", "")) == []


# ---- the core ----


def impure(name: str, text: str) -> Iterator[str]:
    """What the core may import and call is an allow-list: a list of bans forgets sqlite3, urllib and open()."""
    for node in ast.walk(ast.parse(text)):
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or ""] if not node.level else ["(relative)"]
        for module in imported:
            if module not in CORE_IMPORTS and module not in {"prefs.core"} and not module.startswith("prefs.core."):
                yield f"{name}: imports {module}"
        if isinstance(node, ast.Name) and node.id in CORE_BUILTINS_BANNED:
            yield f"{name}:{node.lineno} uses {node.id}"
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner == "builtins" and node.attr in CORE_BUILTINS_BANNED:
                yield f"{name}:{node.lineno} uses builtins.{node.attr}"
            if node.attr in CLOCK_CALLS_BANNED and owner in {"datetime", "date"}:
                yield f"{name}:{node.lineno} reads the clock"


def test_the_core_is_pure() -> None:
    assert all_faults(impure, sources("prefs/core")) == []


@pytest.mark.parametrize(
    "planted",
    [
        "import sqlite3",
        "import os.path",
        "from urllib import request",
        "from prefs import ports",
        "from prefs.services import preferences",
        "from . import values",
        "import random",
        "import time",
        "open('x')",
        "print(1)",
        "import builtins\nbuiltins.open('x')",
        "__import__('os')",
        "from datetime import datetime\ndatetime.now()",
        "from datetime import date\ndate.today()",
    ],
)
def test_the_purity_rule_can_fail(planted: str) -> None:
    assert list(impure("prefs/core/planted.py", planted))


def test_the_purity_rule_lets_the_core_work() -> None:
    allowed = "from __future__ import annotations\nfrom decimal import Decimal\nfrom prefs.core import units\n"
    assert list(impure("prefs/core/planted.py", allowed)) == []


# ---- one place for a thing ----


def calls_of(attribute: str) -> Callable[[str, str], Iterator[str]]:
    def found(name: str, text: str) -> Iterator[str]:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == attribute:
                yield name

    return found


def test_one_file_commits() -> None:
    committing = set(all_faults(calls_of("commit"), sources("prefs", "api")))
    assert len(committing) <= 1 and all(name.startswith("prefs/store/") for name in committing), committing


def test_the_commit_rule_can_fail() -> None:
    planted = [
        ("prefs/store/sql.py", "session.commit()"),
        ("api/routes/guests.py", "async def f():\n    await s.commit()"),
    ]
    assert len(set(all_faults(calls_of("commit"), planted))) == 2


def decorated_middleware(name: str, text: str) -> Iterator[str]:
    """`@app.middleware("http")` builds a BaseHTTPMiddleware, which the import ban does not see."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(called, ast.Attribute) and called.attr in {"middleware", "on_event"}:
                    yield f"{name}:{node.lineno} @{called.attr}"


def test_middleware_is_plain_asgi() -> None:
    assert all_faults(decorated_middleware, sources("api")) == []
    assert list(decorated_middleware("planted.py", '@app.middleware("http")\nasync def f(request, next): ...'))


# ---- errors ----


def subclasses(root: type[BaseException]) -> Iterator[type[BaseException]]:
    for child in root.__subclasses__():
        yield child
        yield from subclasses(child)


def drawn(docstring: str) -> dict[str, str | None]:
    """The tree as it is drawn: each class with the one it hangs on."""
    tree: dict[str, str | None] = {}
    path: list[str] = []
    for line in docstring.splitlines():
        match = re.match(r"^((?:[│ ]   |[├└]── )*)([A-Z]\w+)(?:\s{2,}.*)?$", line)
        if match:
            depth = len(match[1]) // 4
            path = [*path[:depth], match[2]]
            tree[match[2]] = path[depth - 1] if depth else None
    return tree


def misdrawn(docstring: str, root: type[BaseException]) -> list[str]:
    tree = drawn(docstring)
    real = {child.__name__: child.__bases__[0].__name__ for child in subclasses(root)}
    missing = [f"{name} is not drawn" for name in real if name not in tree]
    wrong = [f"{n} hangs on {p}, drawn on {tree[n]}" for n, p in real.items() if n in tree and tree[n] != p]
    stale = [f"{name} is drawn and does not exist" for name in tree if name not in real and name != root.__name__]
    return missing + wrong + stale


def test_the_error_tree_is_drawn_as_it_is() -> None:
    importlib.import_module("api.app")  # whatever the app brings along is part of the tree
    assert misdrawn(errors.__doc__ or "", errors.PrefsError) == []


def test_every_error_has_a_status() -> None:
    statuses: Mapping[type[BaseException], int] = importlib.import_module("api.errors").STATUSES
    missing = [child.__name__ for child in subclasses(errors.PrefsError) if child not in statuses]
    assert missing == []
    assert all(400 <= status < 600 for status in statuses.values())


def test_the_error_rules_can_fail() -> None:
    class Root(Exception): ...

    class Branch(Root): ...

    class Leaf(Branch): ...

    good = "Words.\n\nRoot\n└── Branch    words\n    └── Leaf    words\n"
    assert misdrawn(good, Root) == []
    assert misdrawn("Root\n└── Branch\n", Root) == ["Leaf is not drawn"]
    assert misdrawn("Root\n├── Branch\n└── Leaf\n", Root) == ["Leaf hangs on Branch, drawn on Root"]
    assert misdrawn(good + "    └── Gone\n", Root) == ["Gone is drawn and does not exist"]


# ---- the HTTP face ----


def is_async(call: Any) -> bool:
    called = inspect.unwrap(getattr(call, "func", call) if not inspect.isfunction(call) else call)
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        return True
    return not inspect.isclass(called) and inspect.iscoroutinefunction(getattr(called, "__call__", None))  # noqa: B004


def dependencies(dependant: Any) -> Iterator[Any]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from dependencies(inner)


def sync_calls(app: Any) -> list[str]:
    """Plain functions on the request path: each costs a hop to a thread, three of them seven times a bare route."""
    routing = importlib.import_module("fastapi.routing")
    faults = []
    for route in routing.iter_route_contexts(app.routes):
        if route.endpoint is not None and not is_async(route.endpoint):
            faults.append(f"route {route.path}")
        if isinstance(route.original_route, routing.APIRoute):
            faults += [
                f"dependency {call} of {route.path}" for call in dependencies(route.dependant) if not is_async(call)
            ]
    return faults + [f"handler of {kind}" for kind, handler in app.exception_handlers.items() if not is_async(handler)]


def untyped_routes(app: Any) -> list[str]:
    """A bare dict without a model costs eight times ready bytes, and the document says nothing of it."""
    routing = importlib.import_module("fastapi.routing")
    return [
        f"{sorted(route.methods or ())} {route.path}"
        for route in routing.iter_route_contexts(app.routes)
        if isinstance(route.original_route, routing.APIRoute)
        if route.response_model is None and route.status_code != 204 and route.name not in PREPARED_BYTES
        if route.include_in_schema
    ]


def test_everything_on_the_request_path_is_async() -> None:
    assert sync_calls(importlib.import_module("api.app").create_app()) == []


def test_every_route_declares_what_it_answers() -> None:
    assert untyped_routes(importlib.import_module("api.app").create_app()) == []


def test_the_route_rules_can_fail() -> None:
    fastapi = importlib.import_module("fastapi")

    def sync_dependency() -> None: ...

    def sync_handler(request: Any, error: Any) -> None: ...

    router = fastapi.APIRouter()

    @router.get("/sync", response_model=int)
    def sync_route() -> int:
        return 1

    @router.get("/untyped", response_model=None)
    async def untyped_route(got: None = fastapi.Depends(sync_dependency)) -> Any:
        return {}

    app = fastapi.FastAPI()
    app.include_router(router, prefix="/v1")
    app.add_exception_handler(ValueError, sync_handler)
    found = sync_calls(app)
    assert [fault.split()[0] for fault in found] == ["route", "dependency", "handler"], found
    assert untyped_routes(app) == ["['GET'] /v1/untyped"]


def test_the_checked_in_openapi_document_is_what_the_code_says() -> None:
    written = (ROOT / "clients" / "openapi.json").read_text(encoding="utf-8")
    said = importlib.import_module("api.openapi").document()
    assert json.loads(written) == json.loads(said), "run make openapi"
    assert written == said, "run make openapi"


# ---- settings ----


def environment_names(settings: Any) -> list[str]:
    prefix = settings.model_config.get("env_prefix", "")
    names = []
    for name, field in settings.model_fields.items():
        alias = field.validation_alias or field.alias
        names.append(alias if isinstance(alias, str) else alias.choices[0] if alias else f"{prefix}{name}")
    return [str(name).upper() for name in names]


def undocumented(settings: Any, text: str) -> list[str]:
    return [name for name in environment_names(settings) if not re.search(rf"\b{name}\b", text)]


@pytest.mark.parametrize("page", [".env.example", "README.md"])
def test_every_setting_is_documented(page: str) -> None:
    settings = importlib.import_module("prefs.settings").Settings
    assert undocumented(settings, (ROOT / page).read_text(encoding="utf-8")) == []


def test_the_settings_rule_can_fail() -> None:
    settings = importlib.import_module("prefs.settings").Settings
    assert undocumented(settings, "") == environment_names(settings) != []


# ---- the repository ----


def indexes(name: str, text: str) -> Iterator[str]:
    for host in INDEX_HOSTS:
        if host in text:
            yield f"{name} names {host}"
    if re.search(r"(^|/)(requirements[\w-]*\.txt|package-lock\.json|\.npmrc)$", name):
        for line in text.splitlines():
            if "://" in line and "funding" not in line:
                yield f"{name}: an address in a lock: {line.strip()[:60]}"


def machine_paths(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATHS.search(line):
            yield f"{name}:{number} names a path of one machine: {line.strip()[:80]}"


def strangers(names: Iterable[str]) -> list[str]:
    return sorted({name.split("/")[0] for name in names} - TOP_LEVEL)


def test_no_package_index_is_named() -> None:
    assert all_faults(indexes, texts()) == []


def test_no_path_of_a_machine_is_named() -> None:
    assert all_faults(machine_paths, texts()) == []


def test_the_top_level_holds_what_the_design_names() -> None:
    assert strangers(tracked()) == []
    expected = "api prefs clients loadtests tests deploy Dockerfile README.md CHANGELOG.md LICENSE CONTRIBUTING.md"
    assert [name for name in expected.split() if not (ROOT / name).exists()] == []


def test_nothing_reads_outside_the_repository() -> None:
    outside = re.compile(r"\.\./" + "shared")
    assert [name for name, text in texts() if outside.search(text)] == []


def test_the_locks_hold_hashes_for_everything() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-tools.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
        assert len(blocks) > 5
        assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_repository_rules_can_fail() -> None:
    assert list(indexes("README.md", "see https://" + "pypi" + ".org/simple"))
    assert list(indexes("requirements.txt", "a @ https://example.invalid/a.whl"))
    assert list(machine_paths("a.py", 'open("' + "/roo" + 't/x")'))
    assert list(machine_paths("a.py", "cd " + "/wor" + "k/main"))
    assert list(machine_paths("a.py", "https://example.invalid/" + "work/main")) == []
    assert strangers(["api/app.py", "scripts/x.sh", "notes.md"]) == ["notes.md", "scripts"]
