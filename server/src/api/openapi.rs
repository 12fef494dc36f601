//! `/openapi.json`: what the server answers, kept by hand beside this file and checked against the routes.

use axum::{Router, http::header, response::IntoResponse, routing::get};

use crate::app::App;

/// The document as it is served.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// The route; public, since it holds nothing that the source does not.
pub fn routes() -> Router<App> {
    Router::new().route("/openapi.json", get(document))
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_document_names_exactly_the_routes_of_the_source() {
        let routes = routes_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let documented: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
        // The console's page and files hang in a loop of their own; only the page is worth documenting.
        let expected: BTreeSet<String> = routes.into_iter().chain(["/".to_owned()]).collect();
        assert!(expected.len() > 10, "the source was searched in vain");
        assert_eq!(documented, expected);
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut pending = vec![&document];
        let mut references = 0;
        while let Some(value) = pending.pop() {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(to)) = fields.get("$ref") {
                        references += 1;
                        assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to} leads nowhere");
                    }
                    pending.extend(fields.values());
                }
                Value::Array(items) => pending.extend(items),
                _ => {}
            }
        }
        assert!(references > 10);
    }

    fn routes_below(folder: &Path) -> BTreeSet<String> {
        let mut routes = BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                routes.extend(routes_below(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let source = text.split("#[cfg(test)]").next().unwrap();
                let after = source.split(".route(").skip(1);
                let literals = after.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
                routes.extend(literals.map(str::to_owned));
            }
        }
        routes
    }
}
