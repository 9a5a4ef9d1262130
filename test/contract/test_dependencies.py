"""Three kinds of code, never mixed."""

import ast
import graphlib
import io
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from ak_constructs import _gateway_errors, _jwt_authorizer, agent_api
from ak_lambda.agent_runner import handler
from ak_lambda.jwt_authorizer import fetching, keys
from ak_lambda.secret_loader import handler as secret_loader
from ak_lambda.shared import identity, requests

ROOT = Path(__file__).parents[2]
LOCAL = sorted((ROOT / "src" / "ak_constructs" / "local").rglob("*.py"))
CONSTRUCTS = sorted(path for path in (ROOT / "src").rglob("*.py") if path not in LOCAL)
ASSETS = sorted((ROOT / "lambda_assets").rglob("*.py"))
# From the top down: each imports what is below it, and never beside or above. All other modules are private and lowest.
LAYERS: Sequence[set[str]] = (
    {"queued_agent_pipeline", "websocket_agent_api"},
    {"_in_front", "_websocket_wiring"},  # of the two above, in front of a queue
    {"agent_api", "agent_queue"},
    {"_custom_routes"},
    {"_agent", "_chat_path"},  # of those above, about an agent
    {"session_store"},
    {"agent_function", "authorization", "keep_warm", "shared_capacity_provider", "testing", "version_pruner"},
)
UPWARDS = ("agent_function", "session_store")  # the type of an attribute; nothing is imported when it runs


def imported(path: Path) -> set[str]:
    """Give the dotted names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def tops(path: Path) -> set[str]:
    """Give the top-level packages that a file imports."""
    return {name.partition(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", CONSTRUCTS, ids=lambda path: path.name)
def test_constructs_import_cdk_and_the_standard_library_only(path: Path) -> None:
    """Neither boto3 nor the code that runs in Lambda; uv comes with an extra, for those who need it."""
    assert tops(path) <= {"aws_cdk", "constructs", "jsii", "ak_constructs", "uv"} | sys.stdlib_module_names


@pytest.mark.parametrize("path", LOCAL, ids=lambda path: path.name)
def test_what_runs_apps_locally_imports_its_extra_and_no_construct(path: Path) -> None:
    """Nor aws_cdk, which the app's own process loads; two files are the emulator's, in its own environment."""
    allowed = {"ak_constructs", "boto3", "botocore", "httpx", "uv", "websockets"} | sys.stdlib_module_names
    if path.name.startswith("patched_"):
        allowed |= {"hypercorn", "ministack", "patched_websockets"}
    assert tops(path) <= allowed
    ours = {name for name in imported(path) if name.startswith("ak_constructs")}
    assert {name for name in ours if not name.startswith("ak_constructs.local")} == set()


def test_no_construct_imports_what_runs_apps_locally() -> None:
    """Which an extra brings."""
    for path in CONSTRUCTS:
        assert not {name for name in imported(path) if name.startswith("ak_constructs.local")}, path


@pytest.mark.parametrize("path", ASSETS, ids=lambda path: "/".join(path.parts[-2:]))
def test_lambda_code_imports_boto3_and_the_standard_library_only(path: Path) -> None:
    """What the runtime has; only a handler and what is shared may touch AWS, the clock or the environment."""
    allowed = {"ak_lambda", "boto3", "botocore"} | sys.stdlib_module_names
    if path.name == "sessions_redis.py":
        allowed |= {"redis"}  # which a layer brings to those functions that keep sessions there
    if path.parent.name == "jwt_authorizer" and path.name == "verification.py":
        allowed |= {"jwt"}  # which a layer brings to those authorizers that have an issuer
    if path.name == "__main__.py":
        allowed |= {"rich"}  # a command for people, which Lambda never runs; an extra brings what it needs
    elif path.name != "handler.py" and path.parent.name != "shared":
        allowed -= {"boto3", "botocore", "os", "time", "datetime", "random", "uuid"}
    if path.name in {
        "pieces.py",
        "core.py",
        "delta_rules.py",
        "frames.py",
        "protocol.py",
        "messages.py",
        "secret_rules.py",
        "tokens.py",
        "turns.py",
    }:  # these decide
        allowed -= {"boto3", "botocore", "os", "time", "datetime", "random", "uuid", "logging", "threading"}
    assert tops(path) <= allowed


def graph(paths: Sequence[Path], root: Path) -> dict[str, set[str]]:
    """Give which modules of a package each of its modules imports, for types alone too."""
    names = {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    return {
        name: {each for each in imported(path) if each in names and each not in {name, name.partition(".")[0]}}
        for name, path in names.items()
    }


def layers() -> dict[str, set[str]]:
    """Give which modules of constructs each of them imports, but for the front door, which knows all."""
    found = graph(CONSTRUCTS, ROOT / "src")
    del found["ak_constructs"]
    return {name.partition(".")[2]: {each.partition(".")[2] for each in imports} for name, imports in found.items()}


def test_constructs_import_downwards_only() -> None:
    """A private module knows no construct, but for the four that are named above."""
    modules = layers()
    assert {name for name in modules if not name.startswith("_")} < set().union(*LAYERS) <= set(modules)
    heights = {name: height for height, layer in enumerate(reversed(LAYERS), start=1) for name in layer}
    climbs = {
        (name, each)
        for name, imports in modules.items()
        for each in imports
        if heights.get(each, 0) >= max(heights.get(name, 0), 1)
    }
    assert climbs == {UPWARDS}


def test_nothing_goes_round_in_circles() -> None:
    """Neither when it runs nor for types; a reader can begin at the bottom."""
    modules = layers()
    modules[UPWARDS[0]].remove(UPWARDS[1])
    for each in (modules, graph(ASSETS, ROOT / "lambda_assets")):
        graphlib.TopologicalSorter(each).prepare()  # which raises where there is a circle


def test_nobody_imports_a_handler() -> None:
    """It is where Lambda enters; but for a function's other entrance, which answers with the same things."""
    found = graph(ASSETS, ROOT / "lambda_assets")
    imports = {(name, each) for name, all_ in found.items() for each in all_ if each.endswith(".handler")}
    assert imports == {("ak_lambda.request_handler.websocket", "ak_lambda.request_handler.handler")}


def test_no_handler_needs_the_packages_of_a_command() -> None:
    """Lambda has no rich."""
    for path in ASSETS:
        if path.name != "__main__.py":
            assert not {name for name in imported(path) if name == "rich" or name.endswith("__main__")}, path


@pytest.mark.parametrize("path", ASSETS, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_function_imports_another(path: Path) -> None:
    """Functions share by `shared/` only."""
    folder = path.parent.name
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "ak_lambda" and len(parts) > 1:
            assert parts[1] in {folder, "shared"}, f"{path} imports {name}"


def test_both_sides_use_the_same_names() -> None:
    """They never import each other, so the names they share are compared here."""
    constructs = "".join(path.read_text(encoding="utf-8") for path in CONSTRUCTS)
    assert f'"{handler.AGENT_VARIABLE}"' in constructs
    assert f'"{identity.IDENTITY_VARIABLE}"' in constructs
    assert handler.handler.__module__ == "ak_lambda.agent_runner.handler"
    assert '"ak_lambda.agent_runner.handler.handler"' in constructs
    assert '"ak_lambda.health.handler.handler"' in constructs
    assert secret_loader.handler.__module__ == "ak_lambda.secret_loader.handler"
    assert '"ak_lambda.secret_loader.handler.handler"' in constructs
    assert '"ak_lambda.jwt_authorizer.handler.handler"' in constructs
    assert _jwt_authorizer.TIMEOUT.to_seconds() > fetching.TOTAL_SECONDS + fetching.TIMEOUT_SECONDS
    assert _gateway_errors.RETRY_AFTER_SECONDS == keys.RETRY_SECONDS
    for folder in ("response_handler", "dead_letter_handler", "redrive", "request_handler"):
        assert (ROOT / "lambda_assets" / "ak_lambda" / folder / "handler.py").is_file()
        assert f'"{folder}"' in constructs or f'"ak_lambda.{folder}.handler.handler"' in constructs
    shared = [path.read_text(encoding="utf-8") for path in ASSETS if path.name.startswith("sessions")]
    of_sessions = set(re.findall(r'_VARIABLE = "(\w+)"', "".join(shared)))
    assert len(of_sessions) == 8
    assert of_sessions == set(re.findall(r'"(AK_CONSTRUCTS_(?:SESSIONS|HISTORY)_\w+)"', constructs))
    assert agent_api.MAX_BODY_MIB * 1024 * 1024 == requests.MAX_BODY_BYTES


def test_every_variable_that_a_function_reads_is_set_by_a_construct() -> None:
    """And no construct sets one that nobody reads."""
    constructs = "".join(path.read_text(encoding="utf-8") for path in CONSTRUCTS)
    functions = "".join(path.read_text(encoding="utf-8") for path in ASSETS)
    named = re.compile(r'"(AK_CONSTRUCTS_[A-Z_]*[A-Z])"')
    assert set(named.findall(functions)) == set(named.findall(constructs))


def test_the_zip_of_our_own_functions_stays_small() -> None:
    """An edit of one function deploys them all: that is cheap as long as the zip is."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in ASSETS:
            if path.name != "__main__.py":  # which is left out
                archive.write(path, path.relative_to(ROOT))
    assert packed.tell() < 144_000
