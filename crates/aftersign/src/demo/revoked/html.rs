//! What a person sees on a plain page: the heading, the link that leads on, and the forms with their buttons.
//!
//! Enough for the platform's and our own pages, which have no script; it is no reader of HTML at large.

/// A form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Form {
    pub(super) action: String,
    /// What it sends in any case.
    pub(super) fields: Vec<(String, String)>,
    pub(super) buttons: Vec<Button>,
}

/// A button of a form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Button {
    pub(super) label: String,
    /// What pressing it adds to the form.
    pub(super) field: Option<(String, String)>,
}

/// The page's heading.
pub(super) fn heading(page: &str) -> String {
    unescaped(between(page, "<h1>", "</h1>").unwrap_or_default())
}

/// Where the page's link leads that looks like a button.
pub(super) fn link(page: &str) -> Option<String> {
    tags(page, "a")
        .find(|tag| attribute(tag, "class").as_deref() == Some("button"))
        .and_then(|tag| attribute(tag, "href"))
}

/// The page's forms.
pub(super) fn forms(page: &str) -> Vec<Form> {
    let pieces = page.split("<form ").skip(1).filter_map(|piece| piece.split_once("</form>"));
    pieces.map(|(piece, _)| form(piece)).collect()
}

fn form(piece: &str) -> Form {
    let (head, inside) = piece.split_once('>').unwrap_or((piece, ""));
    let named = |tag: &str| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()));
    let hidden = |tag: &&str| attribute(tag, "type").as_deref() == Some("hidden");
    let buttons = inside.split("<button ").skip(1).filter_map(|piece| {
        let (tag, rest) = piece.split_once('>')?;
        let (label, _) = rest.split_once("</button>")?;
        Some(Button { label: unescaped(label.trim()), field: named(tag) })
    });
    Form {
        action: attribute(head, "action").unwrap_or_default(),
        fields: tags(inside, "input").filter(hidden).filter_map(named).collect(),
        buttons: buttons.collect(),
    }
}

/// What stands between the angle brackets of the elements of a name.
fn tags<'a>(page: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let opening = format!("<{name} ");
    let pieces: Vec<&str> = page.split(opening.as_str()).skip(1).collect();
    pieces.into_iter().filter_map(|piece| piece.split_once('>').map(|(tag, _)| tag))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = format!(" {tag}");
    between(&tag, &format!(" {name}=\""), "\"").map(unescaped)
}

fn between<'a>(text: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(behind).map(|(inside, _)| inside)
}

/// Character references, by name as the pages use them and by number.
fn unescaped(text: &str) -> String {
    let mut pieces = text.split('&');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let known = piece.split_once(';').and_then(|(name, rest)| Some((character(name)?, rest)));
        match known {
            Some((letter, rest)) => {
                plain.push(letter);
                plain.push_str(rest);
            }
            None => {
                plain.push('&');
                plain.push_str(piece);
            }
        }
    }
    plain
}

fn character(name: &str) -> Option<char> {
    let number = |text: &str| match text.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => name.strip_prefix('#').and_then(number).and_then(char::from_u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_a_person_sees_it() {
        let page = "<h1>Please &#60;look&gt;</h1><p><a href=\"/x\">no</a> <a class=\"button\" href=\"/go?a=1&#38;b=2\">Go</a></p>\
            <form method=\"post\" action=\"/do?x&amp;y\"><input type=\"hidden\" name=\"t\" value=\"&quot;1&#x27;\">\
            <input type=\"password\" name=\"key\"><button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>\
            <button type=\"submit\">Send &bogus; it</button></form>";
        assert_eq!(heading(page), "Please <look>");
        assert_eq!(link(page).as_deref(), Some("/go?a=1&b=2"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let button = |label: &str, field| Button { label: label.to_owned(), field };
        let form = Form {
            action: "/do?x&y".to_owned(),
            fields: vec![pair("t", "\"1'")],
            buttons: vec![button("Allow", Some(pair("decision", "allow"))), button("Send &bogus; it", None)],
        };
        assert_eq!(forms(page), [form]);
        assert_eq!((heading(""), link("<p>"), forms("<form action=\"")), (String::new(), None, Vec::new()));
    }
}
