//! A section that goes out of a file, and the comments above it. What stands right above it is about it, and goes with
//! it; what an empty line keeps apart from it is about more than it, and stays where it is, as does the file's head.

use toml_edit::{ArrayOfTables, DocumentMut, Item, RawString, Table};

/// Takes a section out of a document that is as it was read, by its place in its list.
pub(crate) fn take_out(
    document: &mut DocumentMut,
    list: impl Fn(&mut DocumentMut) -> Option<&mut ArrayOfTables>,
    place: usize,
) {
    let is_section = |(_, item): (&str, &Item)| item.is_table() || item.is_array_of_tables();
    let has_sections_only = document.iter().all(is_section);
    let first = next_place(document.as_table(), isize::MIN);
    let Some(tables) = list(document) else { return };
    let Some(table) = tables.get(place) else {
        return;
    };
    let position = table.position().unwrap_or(isize::MAX);
    let is_head = has_sections_only && first == Some(position);
    let stays = staying(prefix(table), is_head);
    tables.remove(place);
    let next = next_place(document.as_table(), position);
    if let Some(next) = next.and_then(|next| at_place(document.as_table_mut(), next)) {
        let gap = match (stays.is_empty(), is_head) {
            (false, _) => "\n\n",
            (true, false) => "\n",
            (true, true) => "",
        };
        let above = format!("{stays}{gap}{}", prefix(next).trim_start_matches('\n'));
        next.decor_mut().set_prefix(above);
    } else if !stays.is_empty() {
        let rest = document.trailing().as_str().unwrap_or_default();
        let trailing = format!("{stays}\n{rest}");
        document.set_trailing(trailing);
    }
}

fn prefix(table: &Table) -> &str {
    let prefix = table.decor().prefix().and_then(RawString::as_str);
    prefix.unwrap_or_default()
}

/// What of that above a section is not its own, with the line that keeps it apart from what is before, and none behind.
fn staying(above: &str, is_head: bool) -> String {
    let mut end = 0;
    let mut at = 0;
    for line in above.split_inclusive('\n') {
        at += line.len();
        if line.trim().is_empty() {
            end = at;
        }
    }
    let end = if end == 0 && is_head { at } else { end };
    above[..end].trim_end().to_owned()
}

/// The place in the file of the next section behind one, of whatever kind.
fn next_place(table: &Table, behind: isize) -> Option<isize> {
    let places = places(table).into_iter();
    places.filter(|at| *at > behind).min()
}

/// The place in the file of the last section; `None` where there is none.
pub(super) fn last_place(document: &DocumentMut) -> Option<isize> {
    places(document.as_table()).into_iter().max()
}

/// The places in the file of all sections in one.
fn places(table: &Table) -> Vec<isize> {
    let of = |table: &Table| {
        let mut all = places(table);
        all.extend(table.position());
        all
    };
    let inner = table.iter().flat_map(|(_, item)| match item {
        Item::Table(table) => of(table),
        Item::ArrayOfTables(tables) => tables.iter().flat_map(of).collect(),
        Item::Value(_) | Item::None => Vec::new(),
    });
    inner.collect()
}

fn at_place(table: &mut Table, place: isize) -> Option<&mut Table> {
    table.iter_mut().find_map(|(_, item)| match item {
        Item::Table(table) => itself_or_inner(table, place),
        Item::ArrayOfTables(tables) => {
            let mut tables = tables.iter_mut();
            tables.find_map(|table| itself_or_inner(table, place))
        }
        Item::Value(_) | Item::None => None,
    })
}

fn itself_or_inner(table: &mut Table, place: isize) -> Option<&mut Table> {
    match table.position() == Some(place) {
        true => Some(table),
        false => at_place(table, place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the `[[a]]` of this place.
    fn without(text: &str, place: usize) -> String {
        let mut document = text.parse().expect("it is TOML");
        fn of(document: &mut DocumentMut) -> Option<&mut ArrayOfTables> {
            document.get_mut("a")?.as_array_of_tables_mut()
        }
        take_out(&mut document, of, place);
        document.to_string()
    }

    #[test]
    fn what_is_about_a_section_goes_with_it_and_the_rest_stays_in_its_place() {
        let all = "# head\n\n# one\n[[a]] # it\nx = 1\n[a.inner]\n\n# all\n\n# two\n[[a]]\n\n# other\n[b]\ny = 2\n\n\
                   # three\n[[a]]\n# end\n";
        let one =
            "# head\n\n# all\n\n# two\n[[a]]\n\n# other\n[b]\ny = 2\n\n# three\n[[a]]\n# end\n";
        assert_eq!(without(all, 0), one);
        let two = "# head\n\n# one\n[[a]] # it\nx = 1\n[a.inner]\n\n# all\n\n# other\n[b]\ny = 2\n\n\
                   # three\n[[a]]\n# end\n";
        assert_eq!(without(all, 1), two);
        let three = all.replace("\n# three\n[[a]]\n", "");
        assert_eq!(without(all, 2), three);
        // The last of all leaves what is about the file.
        assert_eq!(without("# head\n\n# one\n[[a]]\nx = 1\n", 0), "# head\n");
        assert_eq!(without("# head\n[[a]]\n\n[b]\n", 0), "# head\n\n[b]\n");
        assert_eq!(without("[[a]]\n\n[b]\n", 0), "[b]\n");
        assert_eq!(without("c = 1\n# one\n[[a]]\n", 0), "c = 1\n");
        assert_eq!(
            without("c = 1\n\n# all\n\n# one\n[[a]]\n# end\n", 0),
            "c = 1\n\n# all\n# end\n"
        );
        assert_eq!(without("[b]\n[[a]]\n[[a]]\n", 1), "[b]\n[[a]]\n");
    }
}
