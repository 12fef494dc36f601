"""An MCP server of the official SDK: `official.py` speaks over its standard streams, `official.py PORT` over HTTP.

Offers a calendar: `free` says what is free on a day, `book` books it, `fail` fails.
"""

import sys
from typing import Annotated, Optional

from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel, Field

server = MCPServer("calendar")
booked = []


class Person(BaseModel):
    name: str
    telephone: Optional[str] = None


@server.tool()
def free(day: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")], most: int = 2) -> list[str]:
    """Says which times are free on a day, as 2026-05-31."""
    return [f"{day}T{hour:02}:00" for hour in range(9, 9 + most)]


@server.tool()
def book(at: str, person: Person) -> str:
    """Books a time for a person."""
    booked.append((at, person.name))
    return f"Booked {at} for {person.name}; bookings: {len(booked)}."


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("the calendar is locked")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
