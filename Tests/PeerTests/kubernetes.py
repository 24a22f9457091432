"""What `quern submit --engine kubernetes` prints, held against Kubernetes' own schema.

    kubernetes.py QUERN MODEL
"""
import json
import subprocess
import sys
import tempfile

import kubernetes_validate

quern, model = sys.argv[1:3]
with tempfile.TemporaryDirectory() as work:
    def run(*command):
        return subprocess.run([quern, *command], cwd=work, check=True, capture_output=True, text=True).stdout

    text = f"{work}/text"
    with open(text, "w") as file:
        file.write("A mill grinds what it is given. " * 2000)
    run("plan", model, "--type", "Q4_K_M", "--method", "gptq", "--calibration", text, "--calibration-tokens", "4096",
        "--tasks", "5", "--gguf", "out.gguf", "-o", "plan")
    printed = run("submit", "plan", "--engine", "kubernetes", "--image", "registry.example/quern:1", "--claim", "models",
                  "--mount", "/models", "--name", "llama")
    jobs = [json.loads(part) for part in printed.split("---\n")]

assert [job["metadata"]["name"] for job in jobs] == ["llama-calibrate", "llama-convert", "llama-finalize"], printed
for job in jobs:
    version = kubernetes_validate.validate(job, "1.33", strict=True)
    spec = job["spec"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never", "podFailurePolicy asks for it"
    rules = {code: rule["action"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule
             for code in rule["onExitCodes"]["values"]}
    assert rules[75] == "Ignore" and {rules[65], rules[2]} <= {"FailIndex", "FailJob"}, rules
    # FailIndex and limits an index are for Indexed Jobs alone.
    assert ("FailIndex" in rules.values()) == (spec.get("completionMode") == "Indexed") == ("backoffLimitPerIndex" in spec)
print(f"{len(jobs)} jobs valid for Kubernetes {version}")
# The check can fail.
jobs[0]["spec"]["completionMode"] = 1
try:
    kubernetes_validate.validate(jobs[0], "1.33", strict=True)
    sys.exit("a wrong type was accepted")
except kubernetes_validate.ValidationError:
    pass
