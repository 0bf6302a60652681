//! The query string: names, values, repetition, paging, links.

use crate::odata::{Options, PAGE_MAX, QUERY_BYTES_MAX, QueryError, Reason};

fn parse(query: &str) -> Options {
    Options::parse(query, &["preview", "api-version"])
        .unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn error(query: &str) -> QueryError {
    match Options::parse(query, &["preview"]) {
        Ok(options) => panic!("{query:.60} is accepted: {options:?}"),
        Err(error) => error,
    }
}

#[test]
fn names_and_values_are_decoded() {
    let expected = "complianceState eq 'non compliant+'";
    for query in [
        "$filter=complianceState eq 'non compliant%2B'&$top=999&$count=true",
        "%24filter=complianceState+eq+%27non%20compliant%2b%27&%24top=999&%24count=true",
        "filter=complianceState%20eq%20'non+compliant%2B'&top=999&COUNT=True&",
        "$FILTER= complianceState eq 'non compliant%2B' &$Top=%20999&$count=TRUE",
    ] {
        let options = parse(query);
        assert_eq!(options.filter.as_deref(), Some(expected), "{query}");
        assert_eq!((options.top, options.count), (Some(999), true), "{query}");
    }
}

#[test]
fn every_option_has_its_field() {
    let options = parse(
        "$select=id, deviceName ,actor/isAdmin&$orderby=a desc,b&$skip=6&$search=%22x%22&$skiptoken=t-_&$deltatoken=latest&preview=true",
    );
    assert_eq!(options.select, ["id", "deviceName", "actor/isAdmin"]);
    assert_eq!(options.orderby.as_deref(), Some("a desc,b"));
    assert_eq!(options.skip, 6);
    assert_eq!(options.search.as_deref(), Some("\"x\""));
    assert_eq!(options.skiptoken.as_deref(), Some("t-_"));
    assert_eq!(options.deltatoken.as_deref(), Some("latest"));
    assert_eq!(options.custom("Preview"), Some("true"));
    assert_eq!(options.custom("api-version"), None);
    assert_eq!(parse(""), Options::default());
    assert_eq!(parse("&&").page_rows(), PAGE_MAX);
    // Clients send these when they have nothing to say.
    assert!(parse("$select=&$expand=&$orderby=").select.is_empty());
}

#[test]
fn the_page_has_at_most_its_maximum() {
    for (query, rows) in [
        ("", 1000),
        ("$top=1", 1),
        ("$top=0999", 999),
        ("$top=1000", 1000),
        ("$top=5000", 1000),
        ("$top=99999999999999999999", 1000),
    ] {
        assert_eq!(parse(query).page_rows(), rows, "{query}");
    }
    for query in [
        "$top=0",
        "$top=-1",
        "$top=x",
        "$top=",
        "$top=1.5",
        "$top=%2B1",
        "$skip=-1",
        "$skip=x",
        "$count=yes",
        "$count",
    ] {
        let reason = error(query).reason;
        assert!(matches!(reason, Reason::InvalidOption { .. }), "{query}");
    }
}

#[test]
fn unknown_and_repeated_options_are_refused() {
    for query in [
        "$filters=x",
        "$apply=x",
        "$preview2=x",
        "foo=1",
        "=1",
        "$=1",
        "$$top=1",
        "$preview=1",
    ] {
        let reason = error(query).reason;
        assert!(
            matches!(reason, Reason::UnknownOption(_)),
            "{query}: {reason:?}"
        );
    }
    for query in [
        "$top=1&$top=1",
        "$top=1&top=2",
        "$Filter=a&%24filter=b",
        "preview=1&PREVIEW=2",
    ] {
        let reason = error(query).reason;
        assert!(
            matches!(reason, Reason::RepeatedOption(_)),
            "{query}: {reason:?}"
        );
    }
    assert!(matches!(error("$filter=%ff").reason, Reason::Syntax(_)));
    let long = format!("$filter={}", "a".repeat(QUERY_BYTES_MAX));
    assert!(matches!(error(&long).reason, Reason::TooLong { .. }));
    assert_eq!(
        error("foo=1").to_string(),
        "The query option 'foo' is not supported."
    );
}

#[test]
fn expand_has_two_levels() {
    let options =
        parse("$expand=assignments,scheduledActionsForRule($expand=scheduledActionConfigurations)");
    let names: Vec<_> = options
        .expand
        .iter()
        .map(|item| item.name.as_str())
        .collect();
    assert_eq!(names, ["assignments", "scheduledActionsForRule"]);
    assert_eq!(options.expand[0].options, Options::default());
    assert_eq!(
        options.expand[1].options.expand[0].name,
        "scheduledActionConfigurations"
    );

    let options = parse("$expand=a, b( $expand=c ; $select=d,e;$filter=x eq 'a;b)' ; top=5 )");
    let inner = &options.expand[1].options;
    assert_eq!(options.expand[1].name, "b");
    assert_eq!(inner.expand[0].name, "c");
    assert_eq!(inner.select, ["d", "e"]);
    assert_eq!(inner.filter.as_deref(), Some("x eq 'a;b)'"));
    assert_eq!(inner.top, Some(5));

    let cast = "microsoft.graph.deviceAndAppManagementRoleAssignment";
    let options = parse(&format!("$expand={cast}/roleScopeTags"));
    assert_eq!(options.expand[0].cast.as_deref(), Some(cast));
    assert_eq!(options.expand[0].name, "roleScopeTags");

    for query in [
        "$expand=a($expand=b($expand=c))",
        "$expand=a,",
        "$expand=a(",
        "$expand=a)",
        "$expand=a($select=b)c",
        "$expand=a($select)",
        "$expand=a($skiptoken=b)",
        "$expand=a($foo=b)",
        "$expand=a($select=b;$select=c)",
        "$expand=a/b",
        "$expand=members/$ref",
        "$expand=*",
        "$expand=a b",
        "$expand=a($filter=x eq 'b)",
    ] {
        error(query);
    }
    error(&format!("$expand={}", "a(".repeat(20_000)));
    error(&format!("$expand={}", "a($expand=".repeat(6000)));
    error(&format!("$expand={}a", "a,".repeat(20_000)));
}

#[test]
fn a_link_repeats_every_option() {
    let query = "%24filter=startswith(deviceName,'a%26b+%2B')&$top=5&$skiptoken=old&$select=id,deviceName&preview=1";
    let options = parse(query);
    let link = options.continued("$skiptoken", "new-_0");
    assert_eq!(
        link,
        "$filter=startswith%28deviceName%2C%27a%26b%20%2B%27%29&$top=5&$select=id%2CdeviceName&preview=1\
         &$skiptoken=new-_0"
    );
    let again = parse(&link);
    assert_eq!(again.filter, options.filter);
    assert_eq!(again.select, options.select);
    assert_eq!(again.page_rows(), 5);
    assert_eq!(again.skiptoken.as_deref(), Some("new-_0"));
    assert_eq!(again.hash("devices"), options.hash("devices"));
    assert_eq!(parse("").continued("$deltatoken", "x"), "$deltatoken=x");
}

#[test]
fn the_hash_depends_on_every_option_and_on_nothing_else() {
    let hash = |query| parse(query).hash("/managedDevices");
    let base = hash("$top=5&$filter=a eq 1");
    for same in [
        "$filter=a eq 1&$top=5",
        "%24TOP=5&filter=a%20eq+1",
        "$top=5&$filter=a eq 1&$skiptoken=x&$deltatoken=y",
    ] {
        assert_eq!(hash(same), base, "{same}");
    }
    for other in [
        "$top=6&$filter=a eq 1",
        "$top=5&$filter=a eq 2",
        "$top=5",
        "$top=5&$filter=a eq 1&$count=true",
        "$top=5&$filter=a eq 1&preview=1",
        "",
    ] {
        assert_ne!(hash(other), base, "{other}");
    }
    assert_ne!(parse("$top=5&$filter=a eq 1").hash("/groups"), base);
}
