"""The networks: AWD-LSTM encoder, language model, classifier, and what carries weights between them."""
