"""A LangChain RAG chain: retrieve, fill a prompt with cited sources, ask a chat model."""

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from retriever import Retriever

HANDBOOK = [
    {"id": "leave", "title": "Leave", "text": "Employees have 28 days of paid leave a year."},
    {
        "id": "sick",
        "title": "Sick leave",
        "text": "From the third day of illness on, a doctor's note is needed.",
    },
    {"id": "laptop", "title": "Laptops", "text": "Report a lost laptop to the IT desk within one hour."},
]

# Put a real model here, for example ChatOpenAI or ChatOllama.
model = FakeListChatModel(responses=["Report it to the IT desk within one hour [laptop]."])
prompt = ChatPromptTemplate.from_template("Answer from these sources and cite them:\n{sources}\n\n{question}")


def as_sources(documents: list[Document]) -> str:
    """Write each document with its id, title and score."""
    return "\n".join(
        f"[{one.id}] {one.metadata['title']} ({one.metadata['relevance_score']:.2f}): {one.page_content}"
        for one in documents
    )


with Retriever.from_corpus(HANDBOOK) as handbook:
    sources = handbook.as_langchain(k=2) | as_sources
    chain = {"sources": sources, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
    question = "My laptop was lost. What do I have to do?"
    print(sources.invoke(question))
    print(chain.invoke(question))
