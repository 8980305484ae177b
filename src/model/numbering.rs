//! The world's numbering plans: for each calling code who shares it, what is dialled before a national number at home,
//! and how long a national number is. Facts only; `Phone` decides what to do with them.

/// What may stand before a national number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lead {
    /// Nothing: a number is written at home as abroad. Also where nothing certain is known.
    Bare,
    /// One of these digits is dialled at home and dropped abroad.
    Trunk(&'static [&'static str]),
    /// A leading zero is a part of the number, and stays abroad.
    KeepsZero,
}

/// Numbers that begin with these digits have so many, at least and at most.
type Length = (&'static str, usize, usize);

/// The numbers behind one calling code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Plan {
    /// The calling code, without a plus.
    pub(super) code: &'static str,
    /// The regions that share it (ISO 3166 alpha-2, and XK), the one with most numbers first; empty for global services.
    pub(super) regions: &'static str,
    lead: Lead,
    /// The first row whose digits match counts; none means that no number begins so.
    lengths: &'static [Length],
}

impl Plan {
    /// The plan of a number in its international form, without the plus.
    pub(super) fn of(digits: &str) -> Option<&'static Self> {
        // No calling code is the beginning of another one, so the closest below is the only candidate.
        let after = PLANS.partition_point(|plan| plan.code <= digits);
        PLANS.get(after.checked_sub(1)?).filter(|plan| digits.starts_with(plan.code))
    }

    /// What people here dial before a calling code, besides `00`, which is understood everywhere.
    pub(super) fn exits(&self) -> impl Iterator<Item = &'static str> + use<> {
        let code = self.code;
        EXITS.iter().filter(move |(at, _)| *at == code).map(|(_, exit)| *exit)
    }

    /// The national number in what was written: all of it, or what follows a trunk prefix.
    pub(super) fn national<'a>(&self, digits: &'a str) -> Option<&'a str> {
        if self.fits(digits) {
            return Some(digits);
        }
        let Lead::Trunk(prefixes) = self.lead else { return None };
        prefixes.iter().filter_map(|prefix| digits.strip_prefix(prefix)).find(|rest| self.fits(rest))
    }

    fn fits(&self, national: &str) -> bool {
        let total = self.code.len() + national.len();
        let zero = national.starts_with('0');
        (8..=15).contains(&total)
            && (!zero || self.lead == Lead::KeepsZero)
            && national.bytes().any(|digit| digit != b'0')
            && self
                .lengths
                .iter()
                .find(|(start, ..)| national.starts_with(start))
                .is_some_and(|(_, min, max)| (*min..=*max).contains(&national.len()))
    }
}

/// All plans, by calling code.
pub(super) fn plans() -> impl Iterator<Item = &'static Plan> {
    PLANS.iter()
}

const fn plan(code: &'static str, regions: &'static str, lead: Lead, lengths: &'static [Length]) -> Plan {
    Plan { code, regions, lead, lengths }
}

const BARE: Lead = Lead::Bare;
const ZERO: Lead = Lead::Trunk(&["0"]);
const KEPT: Lead = Lead::KeepsZero;

/// A length that is not certain: what E.164 allows.
const ANY: &[Length] = &[("", 4, 14)];

/// The Americas' shared plan: no area code begins with 0 or 1.
const NANP: &[Length] = &[("0", 0, 0), ("1", 0, 0), ("", 10, 10)];

const NANP_REGIONS: &str = "US CA AG AI AS BB BM BS DM DO GD GU JM KN KY LC MP MS PR SX TC TT VC VG VI";

/// Calling code and what is dialled there before another one.
const EXITS: &[(&str, &str)] = &[
    ("1", "011"),
    ("234", "009"),
    ("254", "000"),
    ("255", "000"),
    ("256", "000"),
    ("375", "810"),
    ("592", "001"),
    ("61", "0011"),
    ("62", "001"),
    ("62", "007"),
    ("62", "008"),
    ("65", "001"),
    ("65", "002"),
    ("65", "008"),
    ("66", "001"),
    ("7", "810"),
    ("81", "010"),
    ("82", "001"),
    ("82", "002"),
    ("852", "001"),
    ("855", "001"),
    ("855", "007"),
    ("855", "008"),
    ("886", "002"),
    ("976", "001"),
    ("993", "810"),
];

/// Sorted by calling code as text.
const PLANS: &[Plan] = &[
    plan("1", NANP_REGIONS, Lead::Trunk(&["1"]), NANP),
    plan("20", "EG", ZERO, &[("", 8, 10)]),
    plan("211", "SS", ZERO, &[("", 9, 9)]),
    plan("212", "MA EH", ZERO, &[("", 9, 9)]),
    plan("213", "DZ", ZERO, &[("", 8, 9)]),
    plan("216", "TN", BARE, &[("", 8, 8)]),
    plan("218", "LY", ZERO, &[("", 8, 9)]),
    plan("220", "GM", BARE, &[("", 7, 7)]),
    plan("221", "SN", BARE, &[("", 9, 9)]),
    plan("222", "MR", BARE, &[("", 8, 8)]),
    plan("223", "ML", BARE, &[("", 8, 8)]),
    plan("224", "GN", BARE, &[("", 8, 9)]),
    plan("225", "CI", KEPT, &[("", 10, 10)]),
    plan("226", "BF", BARE, &[("", 8, 8)]),
    plan("227", "NE", BARE, &[("", 8, 8)]),
    plan("228", "TG", BARE, &[("", 8, 8)]),
    // Every number got `01` before its eight digits in 2024: the short form would be a second spelling.
    plan("229", "BJ", KEPT, &[("01", 10, 10)]),
    plan("230", "MU", BARE, &[("", 7, 8)]),
    plan("231", "LR", ZERO, &[("", 7, 9)]),
    plan("232", "SL", ZERO, &[("", 8, 8)]),
    plan("233", "GH", ZERO, &[("", 9, 9)]),
    plan("234", "NG", ZERO, &[("", 7, 10)]),
    plan("235", "TD", BARE, &[("", 8, 8)]),
    plan("236", "CF", BARE, &[("", 8, 8)]),
    plan("237", "CM", BARE, &[("", 9, 9)]),
    plan("238", "CV", BARE, &[("", 7, 7)]),
    plan("239", "ST", BARE, &[("", 7, 7)]),
    plan("240", "GQ", BARE, &[("", 9, 9)]),
    plan("241", "GA", ZERO, &[("", 7, 8)]),
    plan("242", "CG", KEPT, &[("", 9, 9)]),
    plan("243", "CD", ZERO, &[("", 7, 9)]),
    plan("244", "AO", BARE, &[("", 9, 9)]),
    plan("245", "GW", BARE, &[("", 7, 9)]),
    plan("246", "IO", BARE, &[("", 7, 7)]),
    plan("247", "AC", BARE, ANY),
    plan("248", "SC", BARE, &[("", 7, 7)]),
    plan("249", "SD", ZERO, &[("", 9, 9)]),
    plan("250", "RW", ZERO, &[("", 9, 9)]),
    plan("251", "ET", ZERO, &[("", 9, 9)]),
    plan("252", "SO", ZERO, &[("", 6, 9)]),
    plan("253", "DJ", BARE, &[("", 8, 8)]),
    plan("254", "KE", ZERO, &[("7", 9, 9), ("", 7, 9)]),
    plan("255", "TZ", ZERO, &[("", 9, 9)]),
    plan("256", "UG", ZERO, &[("", 9, 9)]),
    plan("257", "BI", BARE, &[("", 8, 8)]),
    plan("258", "MZ", BARE, &[("", 8, 9)]),
    plan("260", "ZM", ZERO, &[("", 9, 9)]),
    plan("261", "MG", ZERO, &[("", 9, 9)]),
    plan("262", "RE YT TF", ZERO, &[("", 9, 9)]),
    plan("263", "ZW", ZERO, &[("", 5, 10)]),
    plan("264", "NA", ZERO, &[("", 6, 10)]),
    plan("265", "MW", ZERO, &[("", 7, 9)]),
    plan("266", "LS", BARE, &[("", 8, 8)]),
    plan("267", "BW", BARE, &[("", 7, 8)]),
    plan("268", "SZ", BARE, &[("", 8, 8)]),
    plan("269", "KM", BARE, &[("", 7, 7)]),
    plan("27", "ZA", ZERO, &[("", 9, 9)]),
    plan("290", "SH", BARE, ANY),
    plan("291", "ER", ZERO, &[("", 7, 7)]),
    plan("297", "AW", BARE, &[("", 7, 7)]),
    plan("298", "FO", BARE, &[("", 6, 6)]),
    plan("299", "GL", BARE, &[("", 6, 6)]),
    plan("30", "GR", BARE, &[("", 10, 10)]),
    plan("31", "NL", ZERO, &[("", 9, 9)]),
    plan("32", "BE", ZERO, &[("", 8, 9)]),
    plan("33", "FR", ZERO, &[("", 9, 9)]),
    plan("34", "ES", BARE, &[("", 9, 9)]),
    plan("350", "GI", BARE, &[("", 8, 8)]),
    plan("351", "PT", BARE, &[("", 9, 9)]),
    plan("352", "LU", BARE, &[("", 5, 11)]),
    plan("353", "IE", ZERO, &[("8", 9, 9), ("", 7, 9)]),
    plan("354", "IS", BARE, &[("", 7, 9)]),
    plan("355", "AL", ZERO, &[("", 8, 9)]),
    plan("356", "MT", BARE, &[("", 8, 8)]),
    plan("357", "CY", BARE, &[("", 8, 8)]),
    plan("358", "FI AX", ZERO, &[("", 5, 12)]),
    plan("359", "BG", ZERO, &[("", 7, 9)]),
    plan("36", "HU", Lead::Trunk(&["06"]), &[("", 8, 9)]),
    plan("370", "LT", Lead::Trunk(&["0", "8"]), &[("", 8, 8)]),
    plan("371", "LV", BARE, &[("", 8, 8)]),
    plan("372", "EE", BARE, &[("", 7, 8)]),
    plan("373", "MD", ZERO, &[("", 8, 8)]),
    plan("374", "AM", ZERO, &[("", 8, 8)]),
    plan("375", "BY", Lead::Trunk(&["80", "8", "0"]), &[("", 9, 9)]),
    plan("376", "AD", BARE, &[("", 6, 9)]),
    plan("377", "MC", ZERO, &[("", 8, 9)]),
    // The six-digit form without `0549` would be a second spelling.
    plan("378", "SM", KEPT, &[("0549", 10, 10), ("6", 8, 10)]),
    plan("380", "UA", ZERO, &[("", 9, 9)]),
    plan("381", "RS", ZERO, &[("", 7, 10)]),
    plan("382", "ME", ZERO, &[("", 8, 9)]),
    plan("383", "XK", ZERO, &[("", 8, 9)]),
    plan("385", "HR", ZERO, &[("", 8, 9)]),
    plan("386", "SI", ZERO, &[("", 8, 8)]),
    plan("387", "BA", ZERO, &[("", 8, 9)]),
    plan("389", "MK", ZERO, &[("", 8, 8)]),
    plan("39", "IT VA", KEPT, &[("0", 6, 11), ("3", 9, 10), ("55", 10, 10), ("8", 6, 10)]),
    plan("40", "RO", ZERO, &[("", 9, 9)]),
    plan("41", "CH", ZERO, &[("", 9, 9)]),
    plan("420", "CZ", BARE, &[("", 9, 9)]),
    plan("421", "SK", ZERO, &[("", 9, 9)]),
    plan("423", "LI", BARE, &[("", 7, 9)]),
    plan("43", "AT", ZERO, &[("", 6, 13)]),
    plan("44", "GB GG IM JE", ZERO, &[("7", 10, 10), ("", 9, 10)]),
    plan("45", "DK", BARE, &[("", 8, 8)]),
    plan("46", "SE", ZERO, &[("7", 9, 9), ("", 6, 9)]),
    plan("47", "NO SJ", BARE, &[("", 8, 8)]),
    plan("48", "PL", BARE, &[("", 9, 9)]),
    plan("49", "DE", ZERO, &[("15", 11, 11), ("16", 10, 11), ("17", 10, 11), ("", 6, 11)]),
    plan("500", "FK GS", BARE, &[("", 5, 5)]),
    plan("501", "BZ", BARE, &[("", 7, 7)]),
    plan("502", "GT", BARE, &[("", 8, 8)]),
    plan("503", "SV", BARE, &[("", 8, 8)]),
    plan("504", "HN", BARE, &[("", 8, 8)]),
    plan("505", "NI", BARE, &[("", 8, 8)]),
    plan("506", "CR", BARE, &[("", 8, 8)]),
    plan("507", "PA", BARE, &[("", 7, 8)]),
    plan("508", "PM", ZERO, &[("", 6, 9)]),
    plan("509", "HT", BARE, &[("", 8, 8)]),
    plan("51", "PE", ZERO, &[("", 8, 9)]),
    // Until 2019 a mobile was dialled `1` from abroad, and `044` or `045` at home.
    plan("52", "MX", Lead::Trunk(&["01", "044", "045", "1"]), &[("0", 0, 0), ("1", 0, 0), ("", 10, 10)]),
    plan("53", "CU", ZERO, &[("", 6, 8)]),
    plan("54", "AR", ZERO, &[("", 10, 11)]),
    plan("55", "BR", ZERO, &[("", 10, 11)]),
    plan("56", "CL", BARE, &[("", 9, 9)]),
    plan("57", "CO", Lead::Trunk(&["0", "03"]), &[("", 10, 10)]),
    plan("58", "VE", ZERO, &[("", 10, 10)]),
    plan("590", "GP BL MF", ZERO, &[("", 9, 9)]),
    plan("591", "BO", ZERO, &[("", 8, 8)]),
    plan("592", "GY", BARE, &[("", 7, 7)]),
    plan("593", "EC", ZERO, &[("", 8, 9)]),
    plan("594", "GF", ZERO, &[("", 9, 9)]),
    plan("595", "PY", ZERO, &[("", 6, 9)]),
    plan("596", "MQ", ZERO, &[("", 9, 9)]),
    plan("597", "SR", BARE, &[("", 6, 7)]),
    plan("598", "UY", ZERO, &[("", 8, 8)]),
    plan("599", "CW BQ", BARE, &[("", 7, 8)]),
    plan("60", "MY", ZERO, &[("", 8, 10)]),
    plan("61", "AU CC CX", ZERO, &[("", 9, 9)]),
    plan("62", "ID", ZERO, &[("8", 9, 12), ("", 7, 11)]),
    plan("63", "PH", ZERO, &[("9", 10, 10), ("", 8, 10)]),
    plan("64", "NZ PN", ZERO, &[("", 8, 10)]),
    plan("65", "SG", BARE, &[("", 8, 8)]),
    plan("66", "TH", ZERO, &[("", 8, 9)]),
    plan("670", "TL", BARE, &[("", 7, 8)]),
    plan("672", "NF AQ", BARE, ANY),
    plan("673", "BN", BARE, &[("", 7, 7)]),
    plan("674", "NR", BARE, &[("", 7, 7)]),
    plan("675", "PG", BARE, &[("", 7, 8)]),
    plan("676", "TO", BARE, &[("", 5, 7)]),
    plan("677", "SB", BARE, &[("", 5, 7)]),
    plan("678", "VU", BARE, &[("", 5, 7)]),
    plan("679", "FJ", BARE, &[("", 7, 7)]),
    plan("680", "PW", BARE, &[("", 7, 7)]),
    plan("681", "WF", BARE, &[("", 6, 6)]),
    plan("682", "CK", BARE, &[("", 5, 5)]),
    plan("683", "NU", BARE, ANY),
    plan("685", "WS", BARE, ANY),
    plan("686", "KI", BARE, ANY),
    plan("687", "NC", BARE, &[("", 6, 6)]),
    plan("688", "TV", BARE, ANY),
    plan("689", "PF", BARE, &[("", 8, 8)]),
    plan("690", "TK", BARE, ANY),
    plan("691", "FM", BARE, &[("", 7, 7)]),
    plan("692", "MH", BARE, &[("", 7, 7)]),
    plan("7", "RU KZ", Lead::Trunk(&["8"]), &[("", 10, 10)]),
    plan("800", "", BARE, &[("", 8, 8)]),
    plan("808", "", BARE, &[("", 8, 8)]),
    plan("81", "JP", ZERO, &[("", 9, 10)]),
    plan("82", "KR", ZERO, &[("", 8, 10)]),
    plan("84", "VN", ZERO, &[("", 9, 10)]),
    plan("850", "KP", ZERO, ANY),
    plan("852", "HK", BARE, &[("", 8, 8)]),
    plan("853", "MO", BARE, &[("", 8, 8)]),
    plan("855", "KH", ZERO, &[("", 8, 9)]),
    plan("856", "LA", ZERO, &[("", 8, 10)]),
    plan("86", "CN", ZERO, &[("10", 10, 10), ("1", 11, 11), ("", 9, 11)]),
    plan("870", "", BARE, ANY),
    plan("878", "", BARE, ANY),
    plan("880", "BD", ZERO, &[("1", 10, 10), ("", 6, 10)]),
    plan("881", "", BARE, ANY),
    plan("882", "", BARE, ANY),
    plan("883", "", BARE, ANY),
    plan("886", "TW", ZERO, &[("", 8, 9)]),
    plan("90", "TR", ZERO, &[("", 10, 10)]),
    plan("91", "IN", ZERO, &[("", 10, 10)]),
    plan("92", "PK", ZERO, &[("3", 10, 10), ("", 8, 10)]),
    plan("93", "AF", ZERO, &[("", 9, 9)]),
    plan("94", "LK", ZERO, &[("", 9, 9)]),
    plan("95", "MM", ZERO, &[("", 6, 10)]),
    plan("960", "MV", BARE, &[("", 7, 7)]),
    plan("961", "LB", ZERO, &[("", 7, 8)]),
    plan("962", "JO", ZERO, &[("", 8, 9)]),
    plan("963", "SY", ZERO, &[("", 8, 9)]),
    plan("964", "IQ", ZERO, &[("7", 10, 10), ("", 8, 10)]),
    plan("965", "KW", BARE, &[("", 8, 8)]),
    plan("966", "SA", ZERO, &[("", 9, 9)]),
    plan("967", "YE", ZERO, &[("", 7, 9)]),
    plan("968", "OM", BARE, &[("", 8, 8)]),
    plan("970", "PS", ZERO, &[("", 8, 9)]),
    plan("971", "AE", ZERO, &[("5", 9, 9), ("", 8, 9)]),
    plan("972", "IL", ZERO, &[("5", 9, 9), ("", 8, 9)]),
    plan("973", "BH", BARE, &[("", 8, 8)]),
    plan("974", "QA", BARE, &[("", 8, 8)]),
    plan("975", "BT", BARE, &[("", 7, 8)]),
    plan("976", "MN", Lead::Trunk(&["0", "01", "02"]), &[("", 8, 8)]),
    plan("977", "NP", ZERO, &[("", 8, 10)]),
    plan("979", "", BARE, &[("", 9, 9)]),
    plan("98", "IR", ZERO, &[("", 10, 10)]),
    plan("992", "TJ", BARE, &[("", 9, 9)]),
    plan("993", "TM", Lead::Trunk(&["8"]), &[("", 8, 8)]),
    plan("994", "AZ", ZERO, &[("", 9, 9)]),
    plan("995", "GE", ZERO, &[("", 9, 9)]),
    plan("996", "KG", ZERO, &[("", 9, 9)]),
    plan("998", "UZ", BARE, &[("", 9, 9)]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_code_begins_another() {
        for pair in PLANS.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
            assert!(!pair[1].code.starts_with(pair[0].code), "{} begins {}", pair[0].code, pair[1].code);
        }
        assert!(EXITS.is_sorted());
        for (code, _) in EXITS {
            assert_eq!(Plan::of(code).map(|plan| plan.code), Some(*code));
        }
    }

    #[test]
    fn a_trunk_prefix_is_never_a_part_of_the_number() {
        for plan in PLANS {
            let Lead::Trunk(prefixes) = plan.lead else { continue };
            for prefix in prefixes.iter().filter(|prefix| !prefix.starts_with('0')) {
                let mut lengths = plan.lengths.iter().filter(|(_, min, _)| *min > 0);
                assert!(lengths.all(|(_, min, max)| min == max), "{prefix} may begin a number of +{}", plan.code);
            }
        }
    }

    #[test]
    fn lengths_are_possible_and_a_catch_all_comes_last() {
        for plan in PLANS.iter().filter(|plan| plan.lengths != ANY) {
            for (at, (start, min, max)) in plan.lengths.iter().enumerate() {
                assert!(min <= max && plan.code.len() + max <= 15, "+{} {start}", plan.code);
                assert!(!start.is_empty() || at + 1 == plan.lengths.len(), "+{}", plan.code);
            }
        }
    }

    #[test]
    fn a_calling_code_is_found_at_the_start_of_a_number() {
        for (digits, code) in [
            ("989121234567", Some("98")),
            ("14155550100", Some("1")),
            ("79161234567", Some("7")),
            ("3545812345", Some("354")),
            ("99890", Some("998")),
            ("9", None),
            ("210123", None),
            ("999123", None),
            ("0", None),
            ("", None),
        ] {
            assert_eq!(Plan::of(digits).map(|plan| plan.code), code, "{digits}");
        }
    }
}
