"""From text to tokens to ids: the rules, the tokenizer, the vocabulary."""
