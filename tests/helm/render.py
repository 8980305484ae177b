"""Renders a chart with the real Helm library, lints it, and holds every manifest against the schemas of Kubernetes.

    render.py CHART < REQUESTS

Reads a list of requests as JSON, each with `values` (a map), perhaps `file` (a file of values that those are laid over) and
perhaps `set` (what `--set` is given, laid over both), and answers with a list of `{"manifests": […], "notes": "…"}` or `{"error": "…"}`. Manifests of the cluster itself are checked
against each of VERSIONS, those of others (cert-manager, Prometheus, the Gateway API) against `crds.json`; what neither knows
is an error. tests/it/deploy has the requests, and judges what the manifests say.
"""

import json
import pathlib
import sys

import helm_python
import jsonschema
import kubernetes_validate
import yaml

VERSIONS = ["1.30", "1.33", "1.37"]
FOREIGN = json.loads((pathlib.Path(__file__).parent / "crds.json").read_text())


def laid_over(below, above):
    """Values as Helm lays one file over another."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = laid_over(merged[name], value) if both else value
    return merged


def check(manifest):
    """Holds a manifest against what it must be."""
    kind = f"{manifest['apiVersion']}/{manifest['kind']}"
    if kind in FOREIGN:
        jsonschema.Draft202012Validator(FOREIGN[kind]).validate(manifest)
        return
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def lint(chart, values):
    """Everything that Helm's own lint has to say but for hints."""
    problems = []
    for version in VERSIONS:
        report = helm_python.lint(chart, values, strict=True, kube_version=f"v{version}.0")
        problems += [f"lint for {version}: {error}" for error in report.get("errors") or []]
        problems += [m["error"] for m in report.get("messages") or [] if m["severity"] >= 2]
    return problems


def answer(chart, request):
    """What a request comes to."""
    values = request.get("values", {})
    if "file" in request:
        values = laid_over(yaml.safe_load(pathlib.Path(request["file"]).read_text()), values)
    for expression in request.get("set", []):
        values = laid_over(values, helm_python.parse_set_string(expression))
    upgrade = request.get("upgrade", False)
    try:
        with helm_python.Chart.load(chart) as loaded:
            rendered = loaded.render(
                values, name="auth", namespace="identity", is_install=not upgrade, is_upgrade=upgrade
            )
    except helm_python.HelmError as error:
        return {"error": str(error)}
    manifests, notes = [], ""
    for template, text in sorted(rendered.items()):
        if template.endswith("NOTES.txt"):
            notes = text
            continue
        for manifest in yaml.safe_load_all(text):
            if manifest is None:
                continue
            try:
                check(manifest)
            except Exception as error:  # whatever a schema complains of is told, with the place
                return {"error": f"{template}: {manifest.get('kind')}: {type(error).__name__}: {error}"}
            manifests.append(manifest)
    problems = lint(chart, values)
    return {"error": "\n".join(problems)} if problems else {"manifests": manifests, "notes": notes}


json.dump([answer(sys.argv[1], request) for request in json.load(sys.stdin)], sys.stdout)
