"""Give a model behind OpenAI's interface a search tool, and let it call as often as it needs."""

import os

from openai import OpenAI

from retriever import Retriever

HANDBOOK = [
    {"id": "leave", "title": "Leave", "text": "Employees have 28 days of paid leave a year."},
    {"id": "laptop", "title": "Laptops", "text": "Report a lost laptop to the IT desk within one hour."},
]
QUESTION = "How many days of leave do I have?"


def ask(client: OpenAI, question: str, handbook: Retriever, *, model: str = "gpt-5-mini") -> str:
    """Answer a question; the model searches the handbook itself."""
    tool = handbook.as_tool(name="handbook", description="Search the company's handbook. Cite as [1].")
    messages = [{"role": "user", "content": question}]
    while True:
        reply = client.chat.completions.create(model=model, messages=messages, tools=[tool.schema])
        message = reply.choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            content = tool.run(call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})


if __name__ == "__main__":
    with Retriever.from_corpus(HANDBOOK) as handbook:
        if "OPENAI_API_KEY" in os.environ:
            print(ask(OpenAI(), QUESTION, handbook))
        else:
            print("OPENAI_API_KEY is not set; this is what the model would read:")
            print(handbook.as_tool().run({"query": QUESTION}))
