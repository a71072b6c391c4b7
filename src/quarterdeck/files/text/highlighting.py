"""Words of a text that have a colour: few kinds, so that a page stays small, and in bounded time.

Pygments is loaded with the first text that has a language. Only languages that people keep in repositories of
settings and code are asked for: a text is hostile, and each lexer is one more set of patterns.
"""

import time
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from quarterdeck.files.text.texts import shown

if TYPE_CHECKING:
    from pygments.lexer import Lexer  # type: ignore[import-untyped]  # it comes without types
    from pygments.token import _TokenType  # type: ignore[import-untyped]  # as above

Line = list[tuple[str, str]]
"""Pieces of a line, each with its kind; an empty kind is plain text."""

MOST_CHARACTERS: Final = 512 * 1024
_MOST_SECONDS: Final = 1.0
_LONGEST_LINE: Final = 20_000
"""Beyond, a text is no longer one that people wrote, and patterns take their time."""

_LEXERS: Final = {
    "bash": ("*.sh", "*.bash", "*.zsh", "*.ksh", ".bashrc", ".profile", "*.env", ".env", "*.env.*"),
    "batch": ("*.bat", "*.cmd"),
    "c": ("*.c", "*.h"),
    "cmake": ("CMakeLists.txt", "*.cmake"),
    "cpp": ("*.cpp", "*.cc", "*.cxx", "*.hpp", "*.hh"),
    "csharp": ("*.cs",),
    "css": ("*.css",),
    "diff": ("*.diff", "*.patch"),
    "docker": ("Dockerfile", "Dockerfile.*", "*.dockerfile", "Containerfile"),
    "go": ("*.go",),
    "graphql": ("*.graphql",),
    "groovy": ("*.groovy", "*.gradle", "Jenkinsfile", "Jenkinsfile.*"),
    "html": ("*.html", "*.htm"),
    "ini": (
        "*.ini", "*.cfg", "*.conf", "*.cnf", "*.service", "*.timer", "*.socket", "*.desktop",
        ".editorconfig", ".gitconfig", ".gitmodules", "*.repo", "*.inf", "*.reg",
    ),
    "java": ("*.java",),
    "javascript": ("*.js", "*.mjs", "*.cjs", "*.jsx"),
    "jinja": ("*.j2", "*.jinja", "*.jinja2"),
    "json": ("*.json", "*.geojson", "*.jsonl", "*.webmanifest"),
    "kotlin": ("*.kt", "*.kts"),
    "lua": ("*.lua",),
    "make": ("Makefile", "makefile", "GNUmakefile", "*.mk"),
    "markdown": ("*.md", "*.markdown"),
    "nginx": ("nginx.conf", "*.nginx"),
    "perl": ("*.pl", "*.pm"),
    "php": ("*.php",),
    "powershell": ("*.ps1", "*.psm1"),
    "properties": ("*.properties",),
    "protobuf": ("*.proto",),
    "python": ("*.py", "*.pyi", "*.pyw", "SConstruct"),
    "r": ("*.r", "*.R"),
    "rst": ("*.rst",),
    "ruby": ("*.rb", "Gemfile", "Rakefile", "Vagrantfile"),
    "rust": ("*.rs",),
    "scala": ("*.scala", "*.sbt"),
    "sql": ("*.sql",),
    "terraform": ("*.tf", "*.tfvars", "*.hcl"),
    "toml": ("*.toml", "Cargo.lock", "poetry.lock"),
    "typescript": ("*.ts", "*.mts", "*.cts"),
    "xml": ("*.xml", "*.xsd", "*.xsl", "*.svg", "*.plist", "*.csproj", "pom.xml"),
    "yaml": ("*.yaml", "*.yml", ".clang-format", "*.sls"),
}  # fmt: skip
"""What is highlighted, by the name of the file alone."""
_KINDS: Final = (
    ("Comment", "comment"),
    ("Literal.String", "string"),
    ("Literal.Number", "number"),
    ("Literal", "string"),
    ("Keyword", "keyword"),
    ("Operator.Word", "keyword"),
    ("Name.Tag", "tag"),
    ("Name.Attribute", "name"),
    ("Name.Function", "name"),
    ("Name.Class", "name"),
    ("Name.Builtin", "name"),
    ("Name.Decorator", "name"),
    ("Name.Variable", "name"),
    ("Name.Constant", "number"),
    ("Generic.Heading", "heading"),
    ("Generic.Subheading", "heading"),
    ("Generic.Inserted", "string"),
    ("Generic.Deleted", "wrong"),
)
"""Kinds of tokens by the beginnings of their names; the first that fits counts."""


def language_of(path: str) -> str:
    """Return the language of a file by its name, or an empty text."""
    name = path.rpartition("/")[2]
    exact = (lexer for lexer, patterns in _LEXERS.items() if name in patterns)
    fitting = (
        lexer for lexer, patterns in _LEXERS.items() if any(fnmatchcase(name, each) for each in patterns)
    )
    return next(exact, "") or next(fitting, "")


def highlighted(path: str, text: str, *, seconds: float = _MOST_SECONDS) -> list[Line]:
    """Return the lines of a text with "\\n" as its line ends; what is too much to colour is plain.

    What can't be seen, or would turn others round, stands as a sign.
    """
    language = language_of(path)
    lines = text.split("\n") if text else []
    is_long = len(text) > MOST_CHARACTERS or any(len(line) > _LONGEST_LINE for line in lines)
    if text.endswith("\n"):
        lines.pop()
    if not language or is_long:
        return [[("", shown(line))] if line else [] for line in lines]
    coloured = _lines(_pieces(_lexer(language), text, seconds), len(lines))
    return [[(kind, shown(piece)) for kind, piece in line] for line in coloured]


def _lexer(language: str) -> "Lexer":
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]  # it comes without types

    lexer: Lexer = get_lexer_by_name(language, stripnl=False, stripall=False, ensurenl=False)
    return lexer


def _pieces(lexer: "Lexer", text: str, seconds: float) -> Iterator[tuple[str, str]]:
    """Yield kinds and pieces of the text; the rest is plain once the time is up."""
    end, done = time.monotonic() + seconds, 0
    kinds: dict[_TokenType, str] = {}
    for number, (_, token, piece) in enumerate(lexer.get_tokens_unprocessed(text)):
        if token not in kinds:
            kinds[token] = _kind(str(token).removeprefix("Token."))
        yield kinds[token], piece
        done += len(piece)
        if number % 256 == 0 and time.monotonic() > end:
            yield "", text[done:]
            return


def _kind(token: str) -> str:
    return next((kind for start, kind in _KINDS if token.startswith(start)), "")


def _lines(pieces: Iterable[tuple[str, str]], count: int) -> Iterator[Line]:
    """Yield exactly so many lines, with neighbours of one kind as one piece."""
    line: Line = []
    made = 0
    for kind, piece in pieces:
        for number, part in enumerate(piece.split("\n")):
            if number:
                yield line
                made += 1
                line = []
            if part and line and line[-1][0] == kind:
                line[-1] = (kind, line[-1][1] + part)
            elif part:
                line.append((kind, part))
    if made < count:
        yield line
