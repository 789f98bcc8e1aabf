"""The flows: requests, plans and the DAGs made of stages. They only compose."""
