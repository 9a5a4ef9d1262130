"""What the project's tasks run: `python -m scripts.<name>`, or `uv run projen <task>` where a task is named.

| script | task | does |
|---|---|---|
| api_md | docs, check | writes API.md |
| audit | audit | asks OSV about every pin |
| baseline | baseline | writes test/released: what the next release is compared with |
| compare | compare | says what breaks users since the last release |
| construct_pages | docs | fills docs/constructs; `pages/` has a module for each kind of part |
| contents | | writes the list of the files of wheel and sdist |
| contract | | prints what a release promises; `promises/` has a module for each kind of promise |
| findings_md | docs | writes docs/findings.md, of what `findings` and `checkov` find |
| matrix | matrix | tries other Pythons and other releases of aws-cdk-lib; each runs `synthesize` and `runner_tests` |
| release_notes | | prints a release's section of CHANGELOG.md, for its workflow |
| sbom | docs, check | writes what the wheel brings, which it carries |
| site | site | builds the site, with the hooks in `site_pages`, and reads it |
| troubleshooting | docs | writes the lists of messages in docs/troubleshooting.md |
| types | types | checks types against the installed wheel |
| upgrade | upgrade | moves every pin to its newest release |

What they share: `cases` (the constructs as users define them), `project` (the root, pyproject.toml, a wheel),
`generated` (to write files, or to check them), `debian_python` (a Python that is not here).
"""
