"""Every knob of the server with its default, its unit and the reason for it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from retriever.errors import ConfigError
from retriever.loopback import is_loopback
from retriever.serve.tokens import Token


class ServeSettings(BaseModel):
    """How the server listens, whom it serves, and how much it takes on.

    Limits are for one request; concurrency and waiting are for one worker.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on; loopback needs no token.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port; 0 takes a free one.")
    workers: int = Field(default=1, ge=1, description="Processes; they share the collection's files.")
    tokens: tuple[Token, ...] = Field(default=(), description="Bearer tokens; empty serves anyone.")
    rerank: bool = Field(default=True, description="Whether searches rerank unless they say otherwise.")
    report: Path | None = Field(default=None, description="Trade-off report shown on the page.")
    concurrency: int | None = Field(
        default=None, ge=1, description="Searches at work at once; None for one a processor."
    )
    max_waiting: int = Field(
        default=128, ge=0, description="Requests that may wait for their turn; more get 429."
    )
    timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds from arrival to answer; then the answer is 503."
    )
    grace_s: int = Field(
        default=20, ge=0, description="Seconds that requests under way get when the server stops."
    )
    max_body_bytes: int = Field(default=8 * 2**20, ge=1, description="Largest request body in bytes.")
    max_batch: int = Field(default=2048, ge=1, description="Texts or documents in a request; OpenAI's own.")
    max_queries: int = Field(default=100, ge=1, description="Queries in one batch search.")
    max_k: int = Field(default=1000, ge=1, description="Largest k; answers grow with it.")
    max_depth: int = Field(default=500, ge=1, description="Largest depth; the reranker's time grows.")

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    def check(self) -> None:
        """Refuse to be open to the network without a token.

        :raises ConfigError: if the address is beyond loopback and there are no tokens.
        """
        if not self.on_loopback and not self.tokens:
            raise ConfigError(
                f"refusing to listen on {self.host} without a token: everyone who reaches this machine could "
                "read and change the collection. Set RETRIEVER_READ_TOKEN or RETRIEVER_WRITE_TOKEN, "
                "give --tokens FILE, or listen on 127.0.0.1"
            )
