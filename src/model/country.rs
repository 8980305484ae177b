//! Which of the regions that share a calling code a number is in, where its first digits tell. Facts only.

/// Area codes of the Americas' shared plan that are neither in the United States nor in Canada.
const ISLANDS: &[(&str, &str)] = &[
    ("AG", "268"),
    ("AI", "264"),
    ("AS", "684"),
    ("BB", "246"),
    ("BM", "441"),
    ("BS", "242"),
    ("DM", "767"),
    ("DO", "809 829 849"),
    ("GD", "473"),
    ("GU", "671"),
    ("JM", "658 876"),
    ("KN", "869"),
    ("KY", "345"),
    ("LC", "758"),
    ("MP", "670"),
    ("MS", "664"),
    ("PR", "787 939"),
    ("SX", "721"),
    ("TC", "649"),
    ("TT", "868"),
    ("VC", "784"),
    ("VG", "284"),
    ("VI", "340"),
];

const CANADA: &str = "204 226 236 249 250 257 263 289 306 343 354 365 367 368 382 403 416 418 428 431 437 438 450 460 468 \
                      474 506 514 519 548 579 581 584 587 600 604 613 622 639 647 672 683 705 709 742 753 778 780 782 807 \
                      819 825 851 867 873 879 902 905 942";

/// The one region that a number is in, if that is known.
pub(super) fn of(calling_code: &str, national: &str) -> Option<&'static str> {
    match calling_code {
        "1" => {
            let area = national.get(..3)?;
            let island = ISLANDS.iter().find(|(_, areas)| areas.split(' ').any(|one| one == area));
            let rest = if CANADA.split(' ').any(|one| one == area) { "CA" } else { "US" };
            Some(island.map_or(rest, |(region, _)| region))
        }
        "7" => Some(if national.starts_with(['6', '7']) { "KZ" } else { "RU" }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Phone, Region};

    #[test]
    fn what_shares_a_calling_code_is_told_apart_where_its_digits_tell() {
        for (phone, within, without) in [
            ("+989121234567", "IR", "AE"),
            ("+14155550100", "US", "CA"),
            ("+14165550100", "CA", "US"),
            ("+18765550100", "JM", "US"),
            ("+79161234567", "RU", "KZ"),
            ("+77011234567", "KZ", "RU"),
            ("+447911123456", "GB", "IE"),
            ("+447911123456", "JE", "IR"),
        ] {
            let phone: Phone = phone.parse().unwrap();
            assert!(phone.may_be_in(within.parse().unwrap()), "{phone:?} {within}");
            assert!(!phone.may_be_in(without.parse().unwrap()), "{phone:?} {without}");
        }
    }

    #[test]
    fn every_island_is_a_region_of_the_shared_plan_and_has_area_codes_of_its_own() {
        let mut areas: Vec<_> =
            ISLANDS.iter().flat_map(|(_, areas)| areas.split(' ')).chain(CANADA.split(' ')).collect();
        assert!(ISLANDS.iter().all(|(region, _)| region.parse::<Region>().unwrap().calling_code() == "1"));
        assert!(areas.iter().all(|area| area.len() == 3));
        let count = areas.len();
        areas.sort_unstable();
        areas.dedup();
        assert_eq!(areas.len(), count);
        assert_eq!(of("1", "8095550100"), Some("DO"));
        assert_eq!(of("44", "7911123456"), None);
    }
}
