use jiff::civil::date;
use licence::{RegionCode, RegionTable};

fn region(code: &str) -> RegionCode {
    code.parse().unwrap()
}

#[test]
fn a_region_is_in_force_in_its_years() {
    let table = RegionTable::builtin();
    let chongwen = region("110103");
    assert!(table.in_force(&chongwen, date(1990, 6, 1)));
    assert!(table.in_force(&chongwen, date(2010, 12, 31)));
    assert!(!table.in_force(&chongwen, date(2011, 1, 1)));
    assert_eq!(table.name(&chongwen, date(2000, 1, 1)), Some("崇文区"));
    assert_eq!(table.name(&chongwen, date(2020, 1, 1)), None);
    assert!(table.ever_in_force(&chongwen));
    assert!(!table.ever_in_force(&region("000000")));
}

#[test]
fn days_outside_the_lists_are_judged_by_the_nearest_list() {
    let table = RegionTable::builtin();
    assert!(table.in_force(&region("110105"), date(1949, 10, 1)));
    assert!(table.in_force(&region("110105"), date(2060, 1, 1)));
}

#[test]
fn in_a_year_of_change_the_newer_name_counts() {
    let table = RegionTable::builtin();
    // 422800: three names in turn.
    let names = [1982, 1983, 1990, 1993, 2000]
        .map(|year| table.name(&region("422800"), date(year, 1, 1)).unwrap());
    let (first, second, third) = ("恩施地区", "鄂西土家族苗族自治州", "恩施土家族苗族自治州");
    assert_eq!(names, [first, second, second, third, third]);
}

#[test]
fn the_whole_table_was_read() {
    let lines = include_str!("../../data/regions.tsv").lines();
    assert_eq!(lines.clone().count(), 6823);
    for line in lines {
        assert!(RegionTable::builtin().ever_in_force(&region(&line[..6])), "{line}");
    }
}
