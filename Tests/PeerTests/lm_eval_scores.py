"""What lm-eval's `hf` model makes of a file of tasks, computed in float32.

    lm_eval_scores.py MODEL ITEMS.jsonl OUT.json

Runs under a Python that has lm-eval (VENV/lm-eval). ITEMS has Quern's two shapes: context and choices, or sentence and
choices. OUT has an object an item: the log-likelihoods of its choices and what acc, acc_norm and acc_bytes
(those that lm-eval knows of it) choose.
"""
import json
import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

model, items_path, out_path = sys.argv[1:4]

ENDINGS = """
task: endings
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{context}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{label}}}}"
metric_list:
  - {{metric: acc}}
  - {{metric: acc_norm}}
  - {{metric: acc_bytes}}
"""
# As lm-eval's own winogrande.
BLANKS = """
task: blanks
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: !function blanks.doc_to_text
doc_to_target: !function blanks.doc_to_target
doc_to_choice: !function blanks.doc_to_choice
metric_list:
  - {{metric: acc}}
"""
BLANKS_CODE = """
def doc_to_text(doc):
    return doc["label"]

def doc_to_target(doc):
    return doc["sentence"][doc["sentence"].index("_") + 1:].strip()

def doc_to_choice(doc):
    return [doc["sentence"][:doc["sentence"].index("_")] + choice for choice in doc["choices"]]
"""


def argmax(values):
    return max(range(len(values)), key=lambda i: values[i])


items = [json.loads(line) for line in open(items_path)]
out = [None] * len(items)
with tempfile.TemporaryDirectory() as work:
    os.environ["HF_HOME"] = work
    names = []
    for name, template, key in [("endings", ENDINGS, "context"), ("blanks", BLANKS, "sentence")]:
        mine = [{**item, "place": i} for i, item in enumerate(items) if key in item]
        if mine:
            names.append(name)
            open(f"{work}/{name}.json", "w").write("".join(json.dumps(item) + "\n" for item in mine))
            open(f"{work}/{name}.yaml", "w").write(template.format(file=f"{work}/{name}.json"))
    open(f"{work}/blanks.py", "w").write(BLANKS_CODE)
    # Its cache of logits takes two requests of the same text for one even where they are cut at different points, as an
    # ending and a blank made of the same sentences are, and then reads the shorter continuation at the wrong positions.
    results = lm_eval.simple_evaluate(
        model=HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=8, logits_cache=False), tasks=names,
        task_manager=TaskManager(include_path=work, include_defaults=False), log_samples=True, bootstrap_iters=0)
for name in names:
    for sample in results["samples"][name]:
        doc = sample["doc"]
        values = [float(answer[0]) for answer in sample["filtered_resps"]]
        # lm-eval says of an item whether it was right; what it chose follows from the likelihoods by its own formulas.
        choice = {"acc": argmax(values)}
        if name == "endings":
            choice["acc_norm"] = argmax([v / len(c) for v, c in zip(values, doc["choices"])])
            choice["acc_bytes"] = argmax([v / len(c.encode()) for v, c in zip(values, doc["choices"])])
        for measure, chosen in choice.items():
            assert float(sample[measure]) == float(chosen == doc["label"]), (measure, doc)
        out[doc["place"]] = {"log_likelihoods": values, **choice}
json.dump({"version": lm_eval.__version__, "results": results["results"], "items": out}, open(out_path, "w"))
