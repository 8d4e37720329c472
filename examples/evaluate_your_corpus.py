"""Measure your own corpus with your own questions: what does each stage reach, which setting to use?"""

import csv
import tempfile
from dataclasses import replace
from pathlib import Path

from eval import TradeoffStudy, evaluate, load_questions, recommend
from retriever import Document, Retriever

documents = [
    Document(
        id="leave", title="Leave", text="Twenty-eight days of paid holiday a year; ask your lead in writing."
    ),
    Document(
        id="travel", title="Travel", text="Trains are second class. Flights need the approval of the head."
    ),
    Document(id="laptop", title="Laptops", text="A lost or stolen laptop is reported to IT within the hour."),
    Document(
        id="badge", title="Badges", text="A lost badge costs ten euros and is replaced at the front desk."
    ),
    Document(
        id="sick", title="Illness", text="Call in before nine. A doctor's note is due from the third day on."
    ),
    Document(
        id="parking", title="Parking", text="Visitors park on level two; the code is given at the front desk."
    ),
    Document(
        id="remote", title="Remote work", text="Up to three days a week from home, agreed within the team."
    ),
    Document(
        id="expenses", title="Expenses", text="Hand in receipts within thirty days; meals up to forty euros."
    ),
]

# One line a question and relevant document; this is the whole of the work.
questions = [
    ("how many vacation days do I get", "leave"),
    ("my notebook was stolen on the train", "laptop"),
    ("where can guests leave their car", "parking"),
    ("may I work from home on Fridays", "remote"),
    ("when do I need a note from the doctor", "sick"),
    ("what does a new badge cost", "badge"),
    ("can I book a flight", "travel"),
    ("until when can I claim a restaurant bill", "expenses"),
]

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "questions.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([("question", "document_id"), *questions])
    dataset = load_questions(path)

with Retriever.from_corpus(documents) as retriever:
    evaluation = evaluate(dataset, retriever, depth=5)
for stage in evaluation.stages:
    print(f"{stage.stage:>9}: nDCG@10 {stage.interval('nDCG@10')}, {stage.latency.p50:.1f} ms a query")

# Every setting is read off one run at the greatest depth.
study = TradeoffStudy(replace(dataset, documents=documents), depths=(0, 3, 5, 8), dimensions=(64, 256))
result = study.run()
advice = recommend(result)
print()
print(advice)

# Was an answer never found, found too deep to be reranked, or put down by the reranker?
attribution = result.attribute(advice.result.setting, k=1)
print()
for fate, count in attribution.counts().items():
    print(f"{fate:>12}: {count} of {len(attribution.fates)} queries")
