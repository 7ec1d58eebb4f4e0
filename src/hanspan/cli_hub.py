"""``hanspan push``, ``hanspan push-dataset`` and ``hanspan pull``.

None takes a token: it would stand in the list of processes. It comes from ``hf auth login`` or
``HF_TOKEN``.
"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="A repository made now is private.")
@click.option("--revision", metavar="BRANCH", help="Commit to this branch; made if needed.")
@click.option("--pr", is_flag=True, help="Open a pull request.")
@click.option("--space", is_flag=True, help="Make a page to try it too: OWNER/NAME-demo.")
def push(
    bundle: Path, repo: str, private: bool, revision: str | None, pr: bool, space: bool
) -> None:
    """Put BUNDLE on the Hugging Face Hub in one commit, or not at all.

    \b
    hf auth login
    hanspan push runs/quickstart/bundle me/my-first-model --private
    hanspan push runs/quickstart/bundle me/my-first-model --space
    hanspan push runs/quickstart/bundle team/their-model --pr
    """
    from hanspan.hub import push as work

    url = work(bundle, repo, private=private, revision=revision, pr=pr)
    click.echo(url)
    if space:
        from hanspan.publish import push_space

        pin = url.rsplit("/", 1)[-1]
        pin = f"refs/pr/{pin}" if pr else pin  # the model just pushed, merged or not
        click.echo(push_space(repo, revision=pin, private=private))
    if not pr:
        at = f" --revision {revision}" if revision else ""
        click.echo(f"next: hanspan predict IN.jsonl OUT.jsonl --model {repo}{at}")


@click.command("push-dataset")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="A repository made now is private.")
@click.option("--revision", metavar="BRANCH", help="Commit to this branch; made if needed.")
@click.option("--license", default="other", show_default=True, help="Of the texts.")
@click.option("--source", "sources", multiple=True, help="Where the texts come from; repeatable.")
def push_dataset(
    files: tuple[Path, ...],
    repo: str,
    private: bool,
    revision: str | None,
    license: str,
    sources: tuple[str, ...],
) -> None:
    """Put weak labels on the Hub as a data set with a card.

    \b
    hanspan push-dataset runs/news/train.jsonl me/my-weak-labels --private
    """
    from hanspan.publish import push_dataset as work

    click.echo(
        work(files, repo, private=private, revision=revision, license=license, sources=sources)
    )


@click.command()
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--revision", help="Branch, tag or commit.")
def pull(repo: str, revision: str | None) -> None:
    """Fetch a bundle into the Hub's cache and print its folder.

    \b
    hanspan pull me/my-first-model --revision main
    """
    from hanspan.hub import pull as work

    click.echo(work(repo, revision))
