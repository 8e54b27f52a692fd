"""The one door to OpenAI-compatible servers: the client, and pictures as JPEG."""
