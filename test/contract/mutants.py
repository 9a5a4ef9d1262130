"""Makes small mistakes in a module, one at a time, and says which of them no test notices.

Each mutant runs in a process of its own that is forked after pytest and botocore were imported: that is what makes
some two hundred of them affordable. `python -m test.contract.mutants [--machine]` prints the survivors.
"""

import ast
import contextlib
import itertools
import os
import signal
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = "ak_lambda.shared.protocol"
SOURCE = ROOT / "lambda_assets" / "ak_lambda" / "shared" / "protocol.py"
TABLES = ROOT / "test" / "lambda_assets" / "test_protocol.py"
SCHEDULES = 120
SECONDS = 30

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
}


@dataclass(frozen=True)
class Mutant:
    """A mistake: the line before and after it, and the whole source with it."""

    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.before}  =>  {self.after}"


def mutants(source: str) -> Iterator[Mutant]:
    """Make every mistake that this knows of, each alone."""
    tree = ast.parse(source)
    for number, (node, _) in enumerate(_sites(tree)):
        changed = ast.parse(source)
        twin, change = next(itertools.islice(_sites(changed), number, None))
        statement = _statement(tree, node)
        before = ast.unparse(statement)
        statement_of_twin = _statement(changed, twin)
        change()
        after = ast.unparse(statement_of_twin)
        yield Mutant(statement.lineno, *_difference(before, after), ast.unparse(changed))


def _difference(before: str, after: str) -> tuple[str, str]:
    """Keep of two texts the lines that differ."""
    old, new = before.splitlines(), after.splitlines()
    while len(old) > 1 and len(new) > 1 and old[0] == new[0]:
        old, new = old[1:], new[1:]
    return old[0].strip(), new[0].strip()


def _statement(tree: ast.AST, node: ast.AST) -> ast.stmt:
    """Find the innermost statement around a node."""
    found = [each for each in ast.walk(tree) if isinstance(each, ast.stmt) and any(n is node for n in ast.walk(each))]
    return min(found, key=lambda each: sum(1 for _ in ast.walk(each)))


def _sites(tree: ast.AST) -> Iterator[tuple[ast.AST, Callable[[], None]]]:
    """Find where a mistake can be made, and how."""
    for node in _code(tree):
        for change in _changes(node):
            yield node, change


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs: no annotation, no docstring, no decorator, no import."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list"} or isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for child in value if isinstance(value, list) else [value]:
            docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            alias = (
                isinstance(child, ast.Assign) and isinstance(child.value, ast.Subscript | ast.BinOp) and _is_type(child)
            )
            if isinstance(child, ast.AST) and not docstring and not alias:
                yield from _code(child)


def _is_type(node: ast.Assign) -> bool:
    return isinstance(node.targets[0], ast.Name) and node.targets[0].id in {"Item", "Change"}


def _changes(node: ast.AST) -> Iterator[Callable[[], None]]:  # noqa: C901, PLR0912 - one branch for each kind of node
    if isinstance(node, ast.Compare):
        for operator in _COMPARISONS.get(type(node.ops[0]), ()):
            yield lambda operator=operator: setattr(node, "ops", [operator()])  # type: ignore[misc]
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield lambda: setattr(node, "op", other)
        for index in range(len(node.values)):
            yield lambda index=index: node.values.pop(index) and None  # type: ignore[misc]
    elif isinstance(node, ast.BinOp):
        yield lambda: setattr(node, "op", _ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.UnaryOp):
        yield lambda: _become(node, node.operand)
    elif isinstance(node, ast.Constant) and node.value is not None:
        yield lambda: setattr(node, "value", f"{node.value}x" if isinstance(node.value, str) else node.value + 1)  # type: ignore[operator]
    elif isinstance(node, ast.Dict):
        for index in range(len(node.keys)):
            yield lambda index=index: _drop(node, index)  # type: ignore[misc]
    elif isinstance(node, ast.Call):
        yield from _changes_of_call(node)
    elif isinstance(node, ast.Return) and (value := node.value) and ast.unparse(value) != "None":
        yield lambda: setattr(node, "value", ast.Constant(None))
        yield lambda: setattr(node, "value", ast.UnaryOp(ast.Not(), value))
    elif isinstance(node, ast.If | ast.IfExp):
        for always in (True, False):
            yield lambda always=always: setattr(node, "test", ast.Constant(always))  # type: ignore[misc]


def _changes_of_call(node: ast.Call) -> Iterator[Callable[[], None]]:
    called = ast.unparse(node.func)
    if called in {"min", "max"}:
        yield lambda: setattr(node, "func", ast.Name("max" if called == "min" else "min"))
    if called == "Update":
        for index, keyword in enumerate(node.keywords):
            if keyword.arg != "equal":
                yield lambda index=index: node.keywords.pop(index) and None  # type: ignore[misc]


def _become(node: ast.AST, other: ast.AST) -> None:
    """Put another node in a node's place."""
    node.__class__ = other.__class__
    node.__dict__ = dict(other.__dict__)


def _drop(node: ast.Dict, index: int) -> None:
    del node.keys[index], node.values[index]


def survivors(*, machine_alone: bool = False) -> list[Mutant]:
    """Run every mutant, as many at a time as there are processors, and give those that no test noticed."""
    source = SOURCE.read_text(encoding="utf-8")
    control = Mutant(0, "", "", source)
    todo = [control, *mutants(source)]
    running: dict[int, Mutant] = {}
    alive = []
    while todo or running:
        while todo and len(running) < (os.cpu_count() or 1):
            mutant = todo.pop(0)
            child = os.fork()
            if not child:
                _be(mutant, machine_alone=machine_alone)
            running[child] = mutant
        child, status = os.wait()
        mutant = running.pop(child)
        if status == 0:
            alive.append(mutant)
    if control not in alive:
        raise RuntimeError("the tests fail without any mistake")
    return sorted(set(alive) - {control}, key=lambda each: each.line)


def _be(mutant: Mutant, *, machine_alone: bool) -> None:
    """Be a process in which the mistake was made; end with 0 if no test notices."""
    signal.alarm(SECONDS)
    noticed = True
    with contextlib.suppress(BaseException), Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        _install(mutant.source)
        noticed = (not machine_alone and _tables_notice()) or _machine_notices()
    os._exit(int(noticed))


def _install(source: str) -> None:
    import ak_lambda.shared  # noqa: PLC0415 - only in the mutant's own process

    module = types.ModuleType(MODULE)
    module.__file__ = str(SOURCE)
    sys.modules[MODULE] = module
    exec(compile(source, str(SOURCE), "exec"), module.__dict__)  # noqa: S102 - our own code, with a mistake
    ak_lambda.shared.protocol = module


def _tables_notice() -> bool:
    plain = ["--noconftest", "-c", os.devnull, "--rootdir", str(ROOT), "-p", "no:cacheprovider"]
    quick = ["--tb=no", "-p", "no:unraisableexception", "-p", "no:threadexception"]  # half the time of most mutants
    return pytest.main(["-x", "-q", *plain, *quick, str(TABLES)]) != 0


def _machine_notices() -> bool:
    from test.lambda_assets import test_request_protocol_machine as machine  # noqa: PLC0415

    with machine.quiet():
        return any(machine.play(machine.schedule(seed)).wrong for seed in range(SCHEDULES))


def main(arguments: Sequence[str]) -> None:
    """Print the survivors."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for each in ("hypothesis", "botocore.exceptions", "_pytest.assertion.rewrite"):
        __import__(each)
    for mutant in survivors(machine_alone="--machine" in arguments):
        print(mutant)  # noqa: T201


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "lambda_assets")]
    main(sys.argv[1:])
