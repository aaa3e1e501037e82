"""The model and its parts, Hugging Face style: configurations, towers, connectors, fusion, processor."""
