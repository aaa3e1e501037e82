// Draws Markdown as elements, never as HTML text: what a model writes cannot become script. Used for replies.
import type { Token, Tokens } from "marked";
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { Code } from "./code";
import { Formula } from "./formula";
import { parse, safeLink, type FormulaToken } from "./parse";

/** A text with Markdown and formulas. */
export function Markdown({ text }: { text: string }) {
  const tokens = useMemo(() => parse(text), [text]);
  return <div class="markdown">{tokens.map(draw)}</div>;
}

function all(tokens: Token[] | undefined, otherwise = ""): ComponentChildren {
  return tokens?.length ? tokens.map(draw) : otherwise;
}

/** HTML entities that marked leaves in the text of its tokens. */
function plain(text: string): string {
  const names: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => names[name]!);
}

function draw(token: Token): ComponentChildren {
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "paragraph":
      return <p>{all(token.tokens)}</p>;
    case "text":
      return all((token as Tokens.Text).tokens, plain(token.text));
    case "escape":
      return plain(token.text);
    case "strong":
      return <strong>{all(token.tokens)}</strong>;
    case "em":
      return <em>{all(token.tokens)}</em>;
    case "del":
      return <del>{all(token.tokens)}</del>;
    case "codespan":
      return <code>{plain(token.text)}</code>;
    case "br":
      return <br />;
    case "hr":
      return <hr />;
    case "heading":
      return heading(token as Tokens.Heading);
    case "blockquote":
      return <blockquote>{all(token.tokens)}</blockquote>;
    case "code":
      return <Code text={token.text} language={(token as Tokens.Code).lang ?? ""} />;
    case "list":
      return list(token as Tokens.List);
    case "table":
      return table(token as Tokens.Table);
    case "link":
      return link(token as Tokens.Link);
    case "image":
      return <span>[{plain(token.text) || token.href}]</span>; // a picture from elsewhere would be an outside request
    case "formula":
      return <Formula tex={(token as FormulaToken).tex} display={(token as FormulaToken).display} />;
    default:
      return token.raw;
  }
}

function heading({ depth, tokens }: Tokens.Heading): ComponentChildren {
  const Tag = `h${Math.min(6, depth + 2)}` as "h3"; // below the page's own headings
  return <Tag>{all(tokens)}</Tag>;
}

function list({ ordered, start, items }: Tokens.List): ComponentChildren {
  const entries = items.map((item) => (
    <li>
      {item.task && <input type="checkbox" checked={item.checked} disabled />}
      {all(item.tokens)}
    </li>
  ));
  return ordered ? <ol start={start || 1}>{entries}</ol> : <ul>{entries}</ul>;
}

function table({ header, rows }: Tokens.Table): ComponentChildren {
  return (
    <div class="table" tabIndex={0}>
      <table>
        <thead>
          <tr>{header.map((cell) => <th scope="col">{all(cell.tokens)}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>{row.map((cell) => <td>{all(cell.tokens)}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function link({ href, tokens }: Tokens.Link): ComponentChildren {
  const safe = safeLink(href);
  if (!safe) return <span>{all(tokens)}</span>;
  return (
    <a href={safe} target="_blank" rel="noopener noreferrer">
      {all(tokens)}
    </a>
  );
}
