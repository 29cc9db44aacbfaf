from types import SimpleNamespace

from harness.serving.fetch import registered_models


class Page(list):
    """As MLflow's: a list that knows where the next one begins."""

    def __init__(self, names, token):
        super().__init__(SimpleNamespace(name=name) for name in names)
        self.token = token


def test_models_of_all_pages_are_listed():
    pages = {None: Page("ab", "next"), "next": Page("c", None)}
    client = SimpleNamespace(
        search_registered_models=lambda *, page_token: pages[page_token]
    )
    assert [model.name for model in registered_models(client)] == ["a", "b", "c"]
