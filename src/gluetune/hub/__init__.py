"""All access to the Hugging Face Hub."""
