"""A pydantic-ai agent that searches your documents."""

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from retriever import Retriever

HANDBOOK = [
    {"id": "leave", "title": "Leave", "text": "Employees have 28 days of paid leave a year."},
    {"id": "laptop", "title": "Laptops", "text": "Report a lost laptop to the IT desk within one hour."},
]

with Retriever.from_corpus(HANDBOOK) as handbook:
    # Put a real model here, for example "openai:gpt-5-mini"; this one calls each tool and repeats it.
    agent = Agent(TestModel(), tools=[handbook.as_tool(name="handbook").function])
    print(agent.run_sync("How many days of leave do I have?").output)
