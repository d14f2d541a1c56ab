//! All that is wrong with SRC, or with the DSTs: for whoever shows it beside the field in which several places stand.

use super::build::{Side, clash, dialled, output, source};
use super::error::OrderError;
use crate::base::option::Values;
use crate::base::secret::addresses;
use crate::roles::relay::config::{Output, Source};

/// What is wrong with the places of SRC, each by itself.
pub fn wrong_sources(values: &Values, src: &str) -> Vec<OrderError> {
    let (src_side, dst_side) = sides(values);
    let whole = || source(src, Side::of(src_side), dst_side).err();
    let one = |place: &str| match place {
        "-" => dialled(place).err(),
        _ => source(place, Side::of(src_side), dst_side).err(),
    };
    let wrong: Vec<_> = match src.contains(',') {
        true => addresses(src).filter_map(one).collect(),
        false => Vec::new(),
    };
    match wrong.is_empty() {
        true => whole().into_iter().collect(),
        false => wrong,
    }
}

/// What is wrong with the DSTs, each by itself and beside those before it that are right.
pub fn wrong_destinations(values: &Values, words: &[String]) -> Vec<OrderError> {
    let (src_side, dst_side) = sides(values);
    let [src, dsts @ ..] = words else {
        return Vec::new();
    };
    // Where SRC is wrong, nothing is said of what may not go with it.
    let source = source(src, Side::of(src_side), dst_side).unwrap_or(Source::Stdin);
    let mut right: Vec<Output> = Vec::new();
    let mut wrong = Vec::new();
    for dst in dsts {
        match output(dst, Side::of(dst_side), None, &source) {
            Err(error) => wrong.push(error),
            Ok(output) => match clash(&source, &right, &output) {
                Some(error) => wrong.push(error),
                None => right.push(output),
            },
        }
    }
    wrong
}

fn sides(values: &Values) -> (&'static str, &'static str) {
    let mode = values.choice("mode").ok().flatten();
    let mode = mode.unwrap_or("connect-listen");
    mode.split_once('-').expect("a mode is two sides")
}

#[cfg(test)]
mod tests {
    use super::super::OPTIONS;
    use super::*;

    fn said(all: Vec<OrderError>) -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_place_that_is_wrong_is_told() {
        let values = Values::new(vec![OPTIONS]);
        let words = |dsts: &str| {
            let words = format!("a:1 {dsts}");
            words.split(' ').map(str::to_owned).collect::<Vec<_>>()
        };
        let found = said(wrong_destinations(
            &values,
            &words("b :6000 connect:a:0 :6000 :99999 - -"),
        ));
        let parts = [
            "b",
            "a:0 can't be dialled",
            ":6000 is given twice",
            "99999",
            "- is given twice",
        ];
        assert_eq!(found.len(), parts.len(), "{found:?}");
        for (said, part) in found.iter().zip(parts) {
            assert!(said.contains(part), "{said}: {part}");
        }
        assert!(wrong_destinations(&values, &words(":1 :2 connect:b:3")).is_empty());
    }

    #[test]
    fn each_place_of_a_list_that_is_wrong_is_told() {
        let values = Values::new(vec![OPTIONS]);
        let found = said(wrong_sources(&values, "x, a:1, connect:b:2, c:0, -"));
        let parts = ["x", "connect", "c:0", "-"];
        assert_eq!(found.len(), parts.len(), "{found:?}");
        for (said, part) in found.iter().zip(parts) {
            assert!(said.contains(part), "{said}: {part}");
        }
        assert!(wrong_sources(&values, "a:1,b:2").is_empty());
    }
}
