"""Ask a running server: `retriever serve DIR` in one terminal, this in another.

    python examples/http_client.py "your question" --url http://127.0.0.1:8080

Needs nothing but Python. RETRIEVER_READ_TOKEN is sent where it is set.
"""

import argparse
import json
import os
import urllib.request

parser = argparse.ArgumentParser(description="Ask a running retriever.")
parser.add_argument("query")
parser.add_argument("--url", default="http://127.0.0.1:8080")
arguments = parser.parse_args()

headers = {"Content-Type": "application/json"}
if token := os.environ.get("RETRIEVER_READ_TOKEN"):
    headers["Authorization"] = f"Bearer {token}"
body = json.dumps({"query": arguments.query, "k": 3}).encode()
request = urllib.request.Request(f"{arguments.url}/v1/search", data=body, headers=headers)
with urllib.request.urlopen(request, timeout=60) as response:
    answer = json.load(response)

for result in answer["results"]:
    first = result["stages"]["fused"]["rank"]
    print(f"{result['rank']}. {result['title'] or result['id']} (first stage: {first})")
    print(f"   {result['passage'][:100]}")
times = answer["timings"]
print(f"first stage {times['first_stage_ms']:.1f} ms, reranker {times['rerank_ms']:.1f} ms")
