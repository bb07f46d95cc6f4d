"""The notebook "Text classification on GLUE" as a script: train, evaluate, predict, publish."""

from pathlib import Path

import gluetune

TASK, MODEL, DATA = "sst2", "minilm", "sample"  # no network needed; see the notebook for GLUE's
SETTINGS = {"data": DATA, "learning_rate": 2e-4, "progress": False}

if __name__ == "__main__":
    run = gluetune.train(TASK, model=MODEL, epochs=3, fraction=0.5, **SETTINGS)
    quick = gluetune.train(TASK, model=MODEL, epochs=1, fraction=0.1, **SETTINGS)

    evaluation = gluetune.evaluate(run.path)
    interval = evaluation.intervals["score"]
    print(f"{evaluation.score.score:.4f} [{interval.low:.4f}, {interval.high:.4f}]")
    print(f"most frequent class: {evaluation.baselines['majority'].score.score:.4f}")
    print(gluetune.compare(quick.path, run.path).pairs[0].verdict)
    print(gluetune.report(run.path))

    predictor = gluetune.load(run.path)
    print(predictor("A warm and clever film."))
    Path("reviews.txt").write_text("The plot is dull and the jokes are worse.\n")
    print(gluetune.predict(predictor, "reviews.txt", output="predictions.jsonl").rows)
    print(gluetune.push(run, f"me/{TASK}-minilm", dry_run=True).files)
