"""What a policy does when its body or its ground changes while it walks, and what its memory knows of that (docs/adaptation.md)."""
