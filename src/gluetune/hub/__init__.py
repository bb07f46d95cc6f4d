"""The one door to the Hugging Face Hub."""
