"""The networks: AWD-LSTM encoder, language model, classifier; weights carried between them, and model files."""
