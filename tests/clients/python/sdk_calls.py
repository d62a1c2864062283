"""Calls through the official SDKs, as a caller of the gateway makes them.

Prints one JSON line for each call with what the SDK understood of the answer: {"call", "model", "text", "usage"}.
Ends with 1 when any call failed; that call's line then holds "error" instead.
"""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import anthropic
import openai

PROMPT = "count these five words please"


def main() -> int:
    parser = argparse.ArgumentParser(description="Calls through the official SDKs.")
    parser.add_argument("base_url", help="the gateway, such as http://127.0.0.1:8080")
    parser.add_argument("key", help="a gateway key")
    parser.add_argument("--openai-path", default="/openai/v1")
    parser.add_argument("--anthropic-path", default="/anthropic")
    parser.add_argument("--openai-model", default="gpt-5.4-mini")
    parser.add_argument("--anthropic-model", default="claude-sonnet-5-5")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE", help="sent with every call")
    parser.add_argument("--only", action="append", default=[], metavar="CALL", help="make only these calls")
    arguments = parser.parse_args()

    headers = dict(header.split("=", 1) for header in arguments.header)
    # No retries: what failed shall be seen.
    common: dict[str, Any] = {"api_key": arguments.key, "max_retries": 0, "timeout": 30, "default_headers": headers}
    calls = openai_calls(
        openai.OpenAI(base_url=arguments.base_url + arguments.openai_path, **common), arguments.openai_model
    ) | anthropic_calls(
        anthropic.Anthropic(base_url=arguments.base_url + arguments.anthropic_path, **common), arguments.anthropic_model
    )
    failed = False
    for name in arguments.only or calls:
        try:
            line = calls[name]()
        except (openai.OpenAIError, anthropic.AnthropicError) as error:
            failed = True
            line = {"error": f"{type(error).__name__}: {error}", "status": getattr(error, "status_code", None)}
        print(json.dumps({"call": name} | line), flush=True)
    return int(failed)


def openai_calls(client: openai.OpenAI, model: str) -> dict[str, Callable[[], dict[str, Any]]]:
    messages: Any = [{"role": "user", "content": PROMPT}]

    def chat() -> dict[str, Any]:
        answer = client.chat.completions.create(model=model, messages=messages)
        return read(answer.model, answer.choices[0].message.content, answer.usage)

    def chat_stream(**options: Any) -> dict[str, Any]:
        text, usage, served, chunks = "", None, None, 0
        for chunk in client.chat.completions.create(model=model, messages=messages, stream=True, **options):
            served, usage, chunks = chunk.model, chunk.usage or usage, chunks + 1
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
        return read(served, text, usage) | {"chunks": chunks}

    def embeddings() -> dict[str, Any]:
        answer = client.embeddings.create(model="text-embedding-3-small", input=PROMPT)
        return read(answer.model, f"{len(answer.data[0].embedding)} dimensions", answer.usage)

    def responses() -> dict[str, Any]:
        answer = client.responses.create(model=model, input=PROMPT)
        return read(answer.model, answer.output_text, answer.usage)

    def responses_stream() -> dict[str, Any]:
        with client.responses.stream(model=model, input=PROMPT) as stream:
            text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
            answer = stream.get_final_response()
        return read(answer.model, text, answer.usage)

    return {
        "openai.chat": chat,
        "openai.chat.stream": chat_stream,
        "openai.chat.stream.usage": lambda: chat_stream(stream_options={"include_usage": True}),
        "openai.embeddings": embeddings,
        "openai.responses": responses,
        "openai.responses.stream": responses_stream,
    }


def anthropic_calls(client: anthropic.Anthropic, model: str) -> dict[str, Callable[[], dict[str, Any]]]:
    request: dict[str, Any] = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": PROMPT}]}

    def messages() -> dict[str, Any]:
        answer = client.messages.create(**request)
        return read(answer.model, "".join(block.text for block in answer.content if block.type == "text"), answer.usage)

    def messages_stream() -> dict[str, Any]:
        with client.messages.stream(**request) as stream:
            text = "".join(stream.text_stream)
            answer = stream.get_final_message()
        return read(answer.model, text, answer.usage)

    return {"anthropic.messages": messages, "anthropic.messages.stream": messages_stream}


def read(model: str | None, text: str | None, usage: Any) -> dict[str, Any]:
    return {"model": model, "text": text, "usage": usage.model_dump(exclude_none=True) if usage else None}


if __name__ == "__main__":
    sys.exit(main())
