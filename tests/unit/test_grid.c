// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/* grid.c: what gives way when a page is narrow. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "grid.h"

#define ROW(grid, ...)                                                                             \
	do {                                                                                       \
		const char *cells[] = {__VA_ARGS__};                                               \
                                                                                                   \
		for (size_t i = 0; i < COUNT(cells); i++)                                          \
			grid_set(grid, (grid)->nr_rows, i, "%s", cells[i]);                        \
		(grid)->nr_rows++;                                                                 \
	} while (0)

static const struct column columns[] = {
	{.title = "time"},
	{.title = "channel", .gives = true, .floor = 10},
	{.title = "user", .spare = 1},
	{.title = "bytes", .right = true, .spare = 2},
	{.title = "end", .gives = true},
};

static void print(unsigned width, char text[4096])
{
	struct grid *grid = grid_new(columns, COUNT(columns), 2);
	struct page page = {.out = fmemopen(text, 4096, "w"), .width = width};

	assert_non_null(grid);
	ROW(grid, "20:15:33", "/chat/general/a", "0c9985541d95", "12", "1000 by client");
	ROW(grid, "20:15:34", "/b", "", "123456", "server_exit");
	grid_print_and_free(&page, grid);
	fclose(page.out);
}

static const struct row {
	const char *sentence;
	unsigned width;
	const char *text;
} rows[] = {
	{"a wide page has all", 80,
	 "time      channel          user           bytes  end\n"
	 "20:15:33  /chat/general/a  0c9985541d95      12  1000 by client\n"
	 "20:15:34  /b                             123456  server_exit\n"},
	{"the widest that gives is cut first", 59,
	 "time      channel       user           bytes  end\n"
	 "20:15:33  /chat/gener…  0c9985541d95      12  1000 by clie…\n"
	 "20:15:34  /b                          123456  server_exit\n"},
	{"a column that is left out gives its room back", 51,
	 "time      channel           bytes  end\n"
	 "20:15:33  /chat/general/a      12  1000 by client\n"
	 "20:15:34  /b               123456  server_exit\n"},
	{"and so does the next one", 37,
	 "time      channel       end\n"
	 "20:15:33  /chat/gener…  1000 by clie…\n"
	 "20:15:34  /b            server_exit\n"},
	{"what is left is cut to its floor and no further", 10,
	 "time      channel     end\n"
	 "20:15:33  /chat/gen…  1000 by…\n"
	 "20:15:34  /b          server_…\n"},
};

static void check_row(void **state)
{
	const struct row *row = *state;
	char text[4096] = "";

	print(row->width, text);
	assert_string_equal(text, row->text);
}

int main(void)
{
	return check_run("grid", check_row, rows, sizeof(rows[0]), COUNT(rows), NULL, 0);
}
