//! Lists in pages, with Twilio's links between them.
//!
//! A page follows the last item of the one before, by its name, so that nothing is listed twice when something new
//! comes first meanwhile. Pure: whoever has the items gives all that fit, newest first.

use serde_json::{Map, Value, json};

use super::{error::RestError, params::Params};

/// Items on a page when nobody says how many.
const SIZE: u32 = 50;

/// Most items on a page.
const SIZE_MAX: u32 = 1_000;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The path of the list.
    path: String,
    /// What else was asked, for the links.
    filters: Vec<(String, String)>,
    number: u32,
    size: u32,
    /// The last item of the page before, or the first of the page behind.
    cursor: Option<Cursor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cursor {
    After(String),
    Before(String),
}

/// An item of a list.
pub trait Listed {
    /// Its name, which no other of the list has.
    fn name(&self) -> String;
}

impl Page {
    /// Reads what a query asks of the list at `path`.
    ///
    /// # Errors
    /// 400.
    pub fn read(path: &str, params: &Params) -> Result<Self, RestError> {
        let is_ours = |name: &str| matches!(name, "Page" | "PageSize" | "PageToken");
        let cursor = match params.text("PageToken").map(|token| token.split_at_checked(2)) {
            None => None,
            Some(Some(("PA", name))) => Some(Cursor::After(name.to_owned())),
            Some(Some(("PB", name))) => Some(Cursor::Before(name.to_owned())),
            Some(_) => return Err(RestError::bad_parameter("PageToken", "it comes from next_page_uri")),
        };
        Ok(Self {
            path: path.to_owned(),
            filters: params.0.iter().filter(|(name, _)| !is_ours(name)).cloned().collect(),
            number: params.number("Page", 0..=1_000_000)?.unwrap_or(0),
            size: params.number("PageSize", 1..=SIZE_MAX)?.unwrap_or(SIZE),
            cursor,
        })
    }

    /// The page of `items`, all of them, under the key `key`; each is spelled by `spell`.
    pub fn of<T: Listed>(&self, key: &str, items: &[T], spell: impl Fn(&T) -> Value) -> Value {
        let size = self.size as usize;
        let place = |name: &String| items.iter().position(|item| item.name() == *name);
        let by_number = || (self.number as usize).saturating_mul(size).min(items.len());
        let from = match &self.cursor {
            None => by_number(),
            // What has gone meanwhile leaves its number.
            Some(Cursor::After(name)) => place(name).map_or_else(by_number, |at| at + 1),
            Some(Cursor::Before(name)) => place(name).map_or_else(by_number, |at| at.saturating_sub(size)),
        };
        let shown = &items[from..items.len().min(from + size)];
        let start = u64::from(self.number) * u64::from(self.size);
        let next = shown.last().filter(|_| from + shown.len() < items.len());
        let previous = shown.first().filter(|_| from > 0 && self.number > 0);
        let mut page = Map::new();
        page.insert(key.to_owned(), shown.iter().map(spell).collect());
        for (name, value) in [
            ("first_page_uri", json!(self.link(0, None))),
            ("next_page_uri", json!(next.map(|last| self.link(self.number + 1, Some(format!("PA{}", last.name())))))),
            (
                "previous_page_uri",
                json!(previous.map(|first| { self.link(self.number - 1, Some(format!("PB{}", first.name()))) })),
            ),
            ("uri", json!(self.link(self.number, None))),
            ("page", json!(self.number)),
            ("page_size", json!(self.size)),
            ("start", json!(start)),
            ("end", json!(start + (shown.len() as u64).saturating_sub(1))),
        ] {
            page.insert(name.to_owned(), value);
        }
        Value::Object(page)
    }

    fn link(&self, number: u32, token: Option<String>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.filters);
        query.append_pair("PageSize", &self.size.to_string()).append_pair("Page", &number.to_string());
        if let Some(token) = token {
            query.append_pair("PageToken", &token);
        }
        format!("{}?{}", self.path, query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Listed for u32 {
        fn name(&self) -> String {
            format!("CA{self}")
        }
    }

    fn page(query: &[(&str, &str)]) -> Result<Page, RestError> {
        let pairs = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Page::read("/2010-04-01/Accounts/AC1/Calls.json", &Params(pairs))
    }

    /// Follows a link, as a client does.
    fn follow(link: &Value) -> Page {
        let (path, query) = link.as_str().unwrap().split_once('?').unwrap();
        Page::read(path, &Params(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())).unwrap()
    }

    #[test]
    fn a_list_reads_as_twilios_do() {
        let listed = page(&[("Status", "busy"), ("PageSize", "2")]).unwrap().of("calls", &[9, 8, 7], |n| json!(n));
        assert_eq!(
            listed,
            json!({
                "calls": [9, 8],
                "first_page_uri": "/2010-04-01/Accounts/AC1/Calls.json?Status=busy&PageSize=2&Page=0",
                "next_page_uri": "/2010-04-01/Accounts/AC1/Calls.json?Status=busy&PageSize=2&Page=1&PageToken=PACA8",
                "previous_page_uri": null,
                "uri": "/2010-04-01/Accounts/AC1/Calls.json?Status=busy&PageSize=2&Page=0",
                "page": 0, "page_size": 2, "start": 0, "end": 1,
            })
        );
    }

    #[test]
    fn following_the_links_lists_each_item_once_though_new_ones_come() {
        let first = page(&[("PageSize", "2")]).unwrap().of("calls", &[5, 4, 3, 2, 1], |n| json!(n));
        let later = [7, 6, 5, 4, 3, 2, 1];
        let second = follow(&first["next_page_uri"]).of("calls", &later, |n| json!(n));
        assert_eq!((&second["calls"], &second["start"], &second["end"]), (&json!([3, 2]), &json!(2), &json!(3)));
        let third = follow(&second["next_page_uri"]).of("calls", &later, |n| json!(n));
        assert_eq!((&third["calls"], &third["next_page_uri"]), (&json!([1]), &Value::Null));
        let back = follow(&third["previous_page_uri"]).of("calls", &later, |n| json!(n));
        assert_eq!(back["calls"], json!([3, 2]));
    }

    #[test]
    fn an_item_that_has_gone_leaves_its_number() {
        let token = page(&[("PageSize", "2"), ("Page", "1"), ("PageToken", "PACA99")]).unwrap();
        assert_eq!(token.of("calls", &[5, 4, 3, 2, 1], |n| json!(n))["calls"], json!([3, 2]));
        let beyond = page(&[("Page", "1000000"), ("PageSize", "1000")]).unwrap().of("calls", &[1], |n| json!(n));
        assert_eq!((&beyond["calls"], &beyond["next_page_uri"]), (&json!([]), &Value::Null));
    }

    #[test]
    fn nonsense_is_refused() {
        for query in [("Page", "-1"), ("PageSize", "0"), ("PageSize", "1001"), ("PageToken", "x"), ("PageToken", "ä")]
        {
            assert_eq!(page(&[query]).unwrap_err().status.as_u16(), 400, "{query:?}");
        }
    }
}
