"""A smolagents agent that searches your documents."""

from smolagents import Model, Tool, ToolCallingAgent, tool

from retriever import Retriever

HANDBOOK = [
    {"id": "leave", "title": "Leave", "text": "Employees have 28 days of paid leave a year."},
    {"id": "laptop", "title": "Laptops", "text": "Report a lost laptop to the IT desk within one hour."},
]


def search_tool(handbook: Retriever) -> Tool:
    """Turn the retriever into a smolagents tool: one line."""
    return tool(handbook.as_tool(name="handbook", k=1).function)


def build_agent(model: Model, handbook: Retriever) -> ToolCallingAgent:
    """Make an agent; the model is for example InferenceClientModel() or LiteLLMModel(...)."""
    return ToolCallingAgent(tools=[search_tool(handbook)], model=model, verbosity_level=0)


if __name__ == "__main__":
    with Retriever.from_corpus(HANDBOOK) as handbook:
        search = search_tool(handbook)
        print("tool:", search.name, list(search.inputs))
        print(search(query="How many days of leave do I have?"))
