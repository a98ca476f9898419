//! What anyone who builds on the district may rely on.

use std::collections::{HashMap, HashSet};

use district::{District, DistrictSize, Story};
use licence::{
    Catalogue, CitizenNumber, CreditCode, HolderId, HolderKind, Licence, Matters, RegionTable, Way,
};

fn small() -> District {
    District::new(
        7,
        DistrictSize { persons: 2_000, enterprises: 500, projects: 60, licences: 6_500 },
    )
}

fn digest(parts: impl Iterator<Item = Vec<u8>>) -> String {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    parts.for_each(|part| hash.update(&part));
    hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A change of this digest is a change of every district anyone has generated: say so in the
/// change log.
#[test]
fn the_same_seed_gives_the_same_bytes() {
    let documents = |district: &District| digest(district.licences().map(|l| l.to_bytes()));
    assert_eq!(documents(&small()), documents(&small()));
    assert_eq!(
        documents(&small()),
        "2fc256cfa07e9985ea7aaa78f2efa4567ae206b029606d6585322361a67f74d2"
    );
    let other = District::new(8, small().size());
    assert_ne!(documents(&small()), documents(&other));
}

#[test]
fn a_licence_does_not_depend_on_what_was_made_before() {
    let district = small();
    let in_order: Vec<_> = district.licences().map(|licence| licence.to_bytes()).collect();
    for index in [6_499, 0, 3_210, 17] {
        assert_eq!(district.licence(index).to_bytes(), in_order[index as usize]);
    }
}

#[test]
fn every_licence_parses_and_fits_the_catalogue() {
    let catalogue = Catalogue::parse(district::catalogue_json().as_bytes()).unwrap();
    assert_eq!(catalogue.entries().len(), 14, "twelve held, two that cases result in");
    let mut types = HashMap::new();
    for licence in small().licences() {
        let bytes = licence.to_bytes();
        let read = Licence::parse(&bytes).unwrap();
        assert!(read == licence, "{} reads back differently", licence.identifier);
        let entry = catalogue.entry(&licence.licence_type).expect("the type is in the catalogue");
        if let Err(error) = entry.check(&read) {
            panic!("{} {}: {error}", entry.name_en, licence.identifier);
        }
        *types.entry(licence.licence_type).or_insert(0_u32) += 1;
    }
    assert_eq!(types.len(), 12, "every type occurs but those of results");
}

#[test]
fn identifiers_and_holder_numbers_are_never_given_twice() {
    let district = District::new(
        3,
        DistrictSize { persons: 30_000, enterprises: 9_000, projects: 900, licences: 250_000 },
    );
    let mut identifiers = HashSet::new();
    for licence in district.licences() {
        assert!(identifiers.insert(licence.identifier.clone()), "{} twice", licence.identifier);
    }
    let persons: HashSet<_> =
        (0..30_000).map(|index| district.person(index).id.number().to_owned()).collect();
    assert_eq!(persons.len(), 30_000);
    let enterprises: HashSet<_> =
        (0..9_000).map(|index| district.enterprise(index).code().to_owned()).collect();
    assert_eq!(enterprises.len(), 9_000);
    let projects: HashSet<_> =
        (0..900).map(|index| district.project(index).code.as_str().to_owned()).collect();
    assert_eq!(projects.len(), 900);
}

#[test]
fn citizen_numbers_carry_a_division_in_force_at_birth_and_the_right_sex() {
    let district = small();
    let regions = RegionTable::builtin();
    for index in 0..2_000 {
        let person = district.person(index);
        let HolderId::Citizen(number) = &person.id else { panic!("person {index}") };
        let number: CitizenNumber = number.as_str().parse().unwrap();
        assert_eq!(number.birth_date(), person.born);
        assert!(regions.in_force(&number.region(), person.born), "person {index}");
        let odd = number.as_str().as_bytes()[16] % 2 == 1;
        assert_eq!(odd, person.male, "person {index}");
    }
}

#[test]
fn credit_codes_check_inside_and_outside_and_lie_in_the_district() {
    let district = small();
    let codes = (0..500).map(|index| district.enterprise(index).code().to_owned());
    let departments = district::issuing_departments()
        .into_iter()
        .chain(district::consuming_departments())
        .map(|department| department.code.as_str().to_owned());
    for code in codes.chain(departments) {
        let code: CreditCode = code.parse().unwrap();
        assert!(code.body_code_checks(), "{}", code.as_str());
        assert_eq!(code.region().as_str(), district::REGION);
    }
    let project = district.project(5).code;
    assert!(!project.is_legacy());
    assert_eq!(project.region().as_str(), district::REGION);
}

#[test]
fn a_licence_is_issued_within_the_lives_of_its_holders() {
    for licence in small().licences() {
        assert!(licence.valid_to.is_none_or(|to| to > licence.issued_on), "{}", licence.identifier);
        for holder in &licence.holders {
            if let HolderId::Citizen(number) = &holder.id {
                let age = (licence.issued_on - number.birth_date()).get_days() / 365;
                assert!((16..70).contains(&age), "{} at {age}", licence.identifier);
            }
        }
    }
}

#[test]
fn couples_hold_marriage_certificates_together() {
    let marriage = "11100000000013194B001";
    let both = small()
        .licences()
        .filter(|licence| licence.licence_type.as_str() == marriage)
        .all(|licence| licence.holders.len() == 2 && licence.holders[0] != licence.holders[1]);
    assert!(both);
}

#[test]
fn permits_carry_their_project_code() {
    let with_project = small().licences().filter(|licence| licence.project.is_some()).count();
    assert!(with_project >= 100, "{with_project}");
}

#[test]
fn every_matter_belongs_to_a_consuming_department_and_asks_for_known_types() {
    let catalogue = Catalogue::parse(district::catalogue_json().as_bytes()).unwrap();
    let matters = Matters::parse(district::matters_json().as_bytes()).unwrap();
    assert_eq!(matters.all().len(), 16);
    matters.check(&catalogue).unwrap();
    let departments: HashSet<_> =
        district::consuming_departments().into_iter().map(|department| department.code).collect();
    for matter in matters.all() {
        assert!(departments.contains(&matter.department), "{}", matter.name);
        assert_eq!(matter.code.department(), matter.department);
        assert!(matter.requires.iter().all(|code| catalogue.entry(code).is_some()));
    }
}

#[test]
fn a_pull_asks_for_the_licence_it_was_made_for_within_its_matter() {
    let district = small();
    let matters = Matters::parse(district::matters_json().as_bytes()).unwrap();
    let policies = district::policies();
    for index in 0..500 {
        let licence = district.licence(index);
        let pull = district.pull(index);
        let matter = matters.get(&pull.matter).unwrap();
        assert_eq!(matter.department, pull.department);
        assert!(licence.holders.iter().any(|holder| holder.id == pull.holder));
        assert!(pull.types.contains(&licence.licence_type));
        assert!(pull.types.iter().all(|code| matter.requires.contains(code)));
        assert!(policies.contains(pull.matter.as_str()));
    }
}

#[test]
fn every_type_is_issued_by_exactly_one_department() {
    let issued: Vec<_> = district::issuing_departments()
        .iter()
        .flat_map(|department| district::issues(&department.code))
        .collect();
    let different: HashSet<_> = issued.iter().collect();
    assert_eq!((issued.len(), different.len()), (14, 14));
    for licence in small().licences().take(500) {
        let types = district::issues(licence.issuer.credit_code());
        assert!(types.contains(&licence.licence_type));
    }
}

#[test]
fn sizes_from_a_number_of_licences_need_no_second_edition() {
    for licences in [1_000, 20_000, 200_000, 5_000_000] {
        let district = District::new(1, DistrictSize::for_licences(licences));
        assert_eq!(district.licence_count(), licences);
        let natural = district.natural_licences();
        assert!(natural >= licences && natural < licences + licences / 10 + 500, "{natural}");
    }
}

#[test]
fn in_the_natural_set_everybody_has_one_identity_card() {
    let size = DistrictSize::natural(2_000, 500, 60);
    let mut cards = HashSet::new();
    for licence in District::new(5, size).licences() {
        if licence.licence_type.as_str() == "11100000000013127D001" {
            assert!(cards.insert(licence.holders[0].id.clone()));
        }
    }
    assert_eq!(cards.len(), 2_000);
}

#[test]
fn an_empty_district_has_no_licences() {
    let size = DistrictSize { persons: 0, enterprises: 0, projects: 0, licences: 10 };
    assert_eq!(District::new(1, size).licences().count(), 0);
}

#[test]
fn persons_are_of_kind_111_and_enterprises_of_kind_001() {
    let district = small();
    assert_eq!(district.person(1).id.kind(), HolderKind::Citizen);
    assert_eq!(district.enterprise(1).id.kind(), HolderKind::Organisation);
}

/// Small, large, and with fewer licences than are natural.
#[test]
fn the_applicant_of_a_story_holds_what_its_matter_can_find() {
    let on = jiff::civil::date(2026, 3, 2);
    let catalogue = Catalogue::parse(district::catalogue_json().as_bytes()).unwrap();
    let matters = Matters::parse(district::matters_json().as_bytes()).unwrap();
    let sizes = [
        DistrictSize::natural(40, 20, 4),
        DistrictSize::natural(300, 80, 8),
        DistrictSize::for_licences(5_000),
    ];
    for (size, seed) in sizes.into_iter().zip([7, 1, 9]) {
        let district = District::new(seed, size);
        let all: HashSet<_> = district.licences().map(|licence| licence.identifier).collect();
        let of = |story| district.applicant(story, on).expect("somebody can apply");
        for story in Story::ALL {
            let matter = matters.get(&story.code()).expect("the matter is listed");
            let applicant = of(story);
            for licence in &applicant.licences {
                catalogue.entry(&licence.licence_type).unwrap().check(licence).unwrap();
                assert!(
                    matter.requires.contains(&licence.licence_type) || story != Story::JobRefund
                );
                assert!(all.contains(&licence.identifier), "the district has the licence");
                assert!(licence.holders == [applicant.holder.clone()]);
            }
        }
        assert_eq!(of(Story::FoodShop).index, of(Story::Signboard).index);
        assert_eq!(of(Story::FoodShop).index, of(Story::FoodStall).index);
    }
}

#[test]
fn seven_of_the_eight_materials_of_the_food_shop_are_held_and_the_signboard_needs_the_eighth_only()
{
    let on = jiff::civil::date(2026, 3, 2);
    let district = District::new(7, DistrictSize::natural(40, 20, 4));
    let matters = Matters::parse(district::matters_json().as_bytes()).unwrap();
    let left = |story: Story| -> (usize, Vec<String>) {
        let applicant = district.applicant(story, on).unwrap();
        let held = |way: &Way| match way {
            Way::Licence { licence_type } => {
                applicant.licences.iter().any(|one| one.licence_type == *licence_type)
            }
            Way::Fact { licence_type, field, equals } => applicant.licences.iter().any(|one| {
                one.licence_type == *licence_type
                    && one.fields.get(field).is_some_and(|value| {
                        equals.as_deref().is_none_or(|text| value.as_str() == Some(text))
                    })
            }),
            Way::File { .. } => false,
        };
        let guide = &matters.get(&story.code()).unwrap().guide;
        let left = guide.requirements.iter().filter(|one| !one.ways.iter().any(held));
        (guide.requirements.len(), left.map(|one| one.id.clone()).collect())
    };
    assert_eq!(left(Story::FoodShop), (8, vec!["floor-plan".to_owned()]));
    assert_eq!(left(Story::Signboard), (3, vec!["floor-plan".to_owned()]));
    assert_eq!(left(Story::FoodStall), (3, vec!["health".to_owned()]));
    assert_eq!(left(Story::JobRefund).1, ["contributions", "account"]);
}

#[test]
fn what_a_case_results_in_fits_the_catalogue() {
    let on = jiff::civil::date(2026, 3, 2);
    let district = District::new(7, DistrictSize::natural(40, 20, 4));
    let catalogue = Catalogue::parse(district::catalogue_json().as_bytes()).unwrap();
    let holder = district.applicant(Story::FoodShop, on).unwrap().holder;
    for (story, field) in [(Story::FoodShop, "premises"), (Story::Signboard, "location")] {
        let fields = [(field.to_owned(), "汀陵市澜溪区柳荫路1号".into())].into_iter().collect();
        let licence = district::result(story, holder.clone(), fields, on, 1).unwrap();
        let entry = catalogue.entry(&licence.licence_type).unwrap();
        entry.check(&Licence::parse(&licence.to_bytes()).unwrap()).unwrap();
        assert!(district::issues(licence.issuer.credit_code()).contains(&licence.licence_type));
    }
    assert!(district::result(Story::FoodStall, holder, Default::default(), on, 1).is_none());
}
