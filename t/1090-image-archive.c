/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of images as they go by: Docker's, OCI's, cut ones, and what is none. */
#include "fake/tar.h"
#include "tap.h"

#include "base/image_archive.h"
#include "base/json.h"
#include "base/str.h"

#include <stdlib.h>
#include <unistd.h>

#define CONFIG   "1111111111111111111111111111111111111111111111111111111111111111"
#define LAYER    "2222222222222222222222222222222222222222222222222222222222222222"
#define MANIFEST "3333333333333333333333333333333333333333333333333333333333333333"
#define OTHER    "4444444444444444444444444444444444444444444444444444444444444444"
#define INDEX    "5555555555555555555555555555555555555555555555555555555555555555"

static struct str out;

static void take(void *arg, const char *data, size_t length)
{
	(void)arg;
	str_add_bytes(&out, data, length);
}

/* --- tars ---------------------------------------------------------------------------------------- */

static void add_typed(struct str *tar, char type, const char *name, const char *data, size_t length)
{
	tar_add(tar,
		&(struct tar_entry){
			.type = type, .name = name, .mode = 0644, .data = data, .length = length});
}

static void add(struct str *tar, const char *name, const char *data)
{
	add_typed(tar, '0', name, data, strlen(data));
}

/* Feeds it in pieces of so many bytes; the code of the end, or of what came before. */
static int pass(const struct str *tar, const struct image_archive_settings *given, size_t piece,
		struct gantry_error *err)
{
	struct image_archive_settings settings =
		given ? *given : (struct image_archive_settings){0};
	struct image_archive *archive;
	int code = 0;

	settings.out = take;
	str_clear(&out);
	*err = (struct gantry_error){0};
	archive = image_archive_new(&settings);
	for (size_t at = 0; at < tar->length && code == 0; at += piece)
		code = image_archive_feed(archive, tar->data + at,
					  tar->length - at < piece ? tar->length - at : piece, err);
	if (code == 0)
		code = image_archive_end(archive, err);
	image_archive_free(archive);
	return code;
}

/* What tar(1) finds in what came out: a file's text, or the list where name is "". */
static const char *unpack(const char *name)
{
	static char text[4096];
	char file[] = "/tmp/gantry-test.XXXXXX", command[256];
	int fd = mkstemp(file);
	FILE *pipe;

	if (fd < 0 || write(fd, out.data, out.length) != (ssize_t)out.length)
		bail_out("no file");
	close(fd);
	snprintf(command, sizeof(command), name[0] ? "tar -xOf %s %s" : "tar -tf %s", file, name);
	pipe = popen(command, "r");
	text[fread(text, 1, sizeof(text) - 1, pipe)] = '\0';
	if (pclose(pipe) != 0)
		snprintf(text, sizeof(text), "tar fails");
	unlink(file);
	return text;
}

/* --- tests --------------------------------------------------------------------------------------- */

#define DOCKER_MANIFEST                                                                            \
	"[{\"Config\":\"" CONFIG ".json\",\"RepoTags\":[\"busybox:latest\"],"                      \
	"\"Layers\":[\"" LAYER "/layer.tar\"]}]"

static struct str docker_archive(void)
{
	struct str tar = STR_INIT;
	char *layer = xcalloc(1, 4001);

	memset(layer, 'l', 4000);
	add(&tar, "manifest.json", DOCKER_MANIFEST);
	add(&tar, CONFIG ".json", "{}");
	add_typed(&tar, '5', LAYER "/", "", 0);
	add(&tar, LAYER "/layer.tar", layer);
	tar_end(&tar);
	free(layer);
	return tar;
}

static void docker(void)
{
	struct image_archive_settings named = {.name = "glance/1:2"};
	struct str tar = docker_archive();
	static const size_t pieces[] = {1, 511, 512, 513, 4096, 1 << 20};
	struct gantry_error err;
	struct str first = STR_INIT;

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		is_int(pass(&tar, NULL, pieces[i], &err), 0, "in pieces of %zu", pieces[i]);
		if (i == 0)
			str_add_bytes(&first, out.data, out.length);
		ok(out.length == first.length && memcmp(out.data, first.data, out.length) == 0,
		   "always the same comes out");
	}
	is_str(unpack(""), CONFIG ".json\n" LAYER "/\n" LAYER "/layer.tar\nmanifest.json\n",
	       "all of it is there, the manifest last");
	is_str(unpack("manifest.json"), DOCKER_MANIFEST, "which is as it was");
	is_int(strlen(unpack(LAYER "/layer.tar")), 4000, "the layer is there");
	is_int(pass(&tar, &named, 1000, &err), 0, "with a name of ours");
	like(unpack("manifest.json"), "\"RepoTags\":[\"glance/1:2\"]", "it has that one only");
	ok(!strstr(unpack("manifest.json"), "busybox"), "and not its own");
	str_fini(&first);
	str_fini(&tar);
}

static void cut(void)
{
	struct str tar = docker_archive(), part;
	size_t whole = tar.length;
	struct gantry_error err;

	for (size_t length = 0; length + 1024 < whole; length += 701) {
		part = (struct str){tar.data, length, 0};
		is_int(pass(&part, NULL, 4096, &err), -EINVAL, "cut after %zu bytes: %s", length,
		       err.text);
	}
	part = (struct str){tar.data, whole - 1024, 0};
	is_int(pass(&part, NULL, 4096, &err), -EINVAL, "without its end mark");
	like(err.text, "cut", "it is called cut");
	tar.data[512 + 512 + 148] = 'x';
	is_int(pass(&tar, NULL, 4096, &err), -EINVAL, "a head is damaged");
	like(err.text, "damaged", "it is called so");
	str_fini(&tar);
}

static void none(void)
{
	struct image_archive_settings named = {.name = "a:1"};
	struct str tar = STR_INIT;
	struct gantry_error err;

	str_add(&tar, "\x7f"
		      "ELF and so on");
	is_int(pass(&tar, NULL, 5, &err), -EINVAL, "a program");
	like(err.text, "no archive of an image", "is told to be no archive");
	str_clear(&tar);
	add(&tar, "etc/passwd", "root");
	tar_end(&tar);
	is_int(pass(&tar, NULL, 512, &err), -EINVAL, "a tar of something else");
	like(err.text, "neither manifest.json", "is told to be no image");
	str_clear(&tar);
	add(&tar, "manifest.json", "[]");
	tar_end(&tar);
	is_int(pass(&tar, NULL, 512, &err), -EINVAL, "a manifest that names nothing");
	str_clear(&tar);
	add(&tar, "manifest.json", "[{\"Config\":\"a\"},{\"Config\":\"b\"}]");
	tar_end(&tar);
	is_int(pass(&tar, NULL, 512, &err), 0, "two images");
	is_int(pass(&tar, &named, 512, &err), -EINVAL, "cannot have one name");
	like(err.text, "holds 2 images", "which is told");
	str_clear(&tar);
	str_add(&tar, "\x1f\x8b and so on");
	is_int(pass(&tar, NULL, 4, &err), 0, "a compressed one goes by");
	is_str(str_text(&out), "\x1f\x8b and so on", "as it is");
	is_int(pass(&tar, &named, 4, &err), -EINVAL, "and cannot be given a name");
	like(err.text, "gzip", "the error says why");
	str_fini(&tar);
}

#define OCI_IMAGE                                                                                  \
	"{\"config\":{\"digest\":\"sha256:" CONFIG "\"},\"layers\":[{\"digest\":\"sha256:" LAYER   \
	"\"}]}"
#define DESCRIPTOR(digest, machine)                                                                \
	"{\"digest\":\"sha256:" digest                                                             \
	"\",\"platform\":{\"os\":\"linux\",\"architecture\":\"" machine "\"}}"

static void oci(void)
{
	struct image_archive_settings here = {.machine = "x86_64"}, named = {.name = "glance/1:2"};
	struct str tar = STR_INIT;
	struct gantry_error err;

	/* the long way: an index of indices, one image for another machine, names by a pax head */
	add(&tar, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	add_typed(&tar, 'x', "PaxHeaders/x", "86 path=blobs/sha256/" MANIFEST "\n", 86);
	add(&tar, "short", OCI_IMAGE);
	add(&tar, "./blobs/sha256/" OTHER, OCI_IMAGE);
	add(&tar, "blobs/sha256/" INDEX,
	    "{\"manifests\":[" DESCRIPTOR(OTHER, "s390x") "," DESCRIPTOR(MANIFEST, "amd64") "]}");
	add(&tar, "blobs/sha256/" LAYER, "a layer");
	add(&tar, "blobs/sha256/" CONFIG, "{}");
	add(&tar, "index.json",
	    "{\"manifests\":[{\"digest\":\"sha256:" INDEX
	    "\",\"annotations\":{\"io.containerd.image.name\":\"docker.io/library/app:1\"}}]}");
	tar_end(&tar);
	is_int(pass(&tar, &here, 777, &err), 0, "an OCI layout: %s", err.text);
	is_str(unpack("manifest.json"),
	       "[{\"RepoTags\":[\"docker.io/library/app:1\"],\"Layers\":[\"blobs/sha256/" LAYER
	       "\"],\"Config\":\"blobs/sha256/" CONFIG "\"}]",
	       "has a manifest as Docker's, for this machine");
	like(unpack(""), "blobs/sha256/" MANIFEST, "and all that it had");
	here.machine = "riscv64";
	is_int(pass(&tar, &here, 777, &err), -EINVAL, "for a machine that is not in it");
	like(err.text, "linux/riscv64", "the error says which");
	is_int(pass(&tar, &named, 777, &err), -EINVAL, "two machines' images cannot share a name");
	str_clear(&tar);
	add(&tar, "index.json", "{\"manifests\":[{\"digest\":\"sha256:../../etc/passwd\"}]}");
	tar_end(&tar);
	is_int(pass(&tar, NULL, 777, &err), -EINVAL, "a digest that is none");
	str_fini(&tar);
}

/* What nobody makes by mistake: ends with an error, soon, and within its memory. */
static void hostile(void)
{
	static const char *const lists[] = {"[1]", "[null]", "[[]]", "[\"x\"]"};
	static const char *const records[] = {
		"          5 aaaaaaaaaaaaaaaa",  "12 path=",    "7 path=\n", "-1 path=x\n",
		"99999999999999999999 path=x\n", " 9 path=x\n", "9path=xx\n"};
	struct image_archive_settings named = {.name = "glance/1:2"};
	struct str tar = STR_INIT, index = STR_INIT;
	char *large = xcalloc(1, 3 << 20);
	struct gantry_error err;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		str_clear(&tar);
		add(&tar, "manifest.json", lists[i]);
		tar_end(&tar);
		is_int(pass(&tar, &named, 4096, &err), -EINVAL, "a name for %s: %s", lists[i],
		       err.text);
	}
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		str_clear(&tar);
		add_typed(&tar, 'x', "head", records[i], strlen(records[i]));
		add(&tar, "manifest.json", DOCKER_MANIFEST);
		tar_end(&tar);
		is_int(pass(&tar, NULL, 4096, &err), 0, "a record \"%.20s\" is passed on",
		       records[i]);
	}
	str_clear(&tar);
	for (int i = 0; i < 2; i++)
		add_typed(&tar, 'x', "head", large, 3 << 20);
	is_int(pass(&tar, NULL, 65536, &err), -EINVAL, "heads of heads without end: %s", err.text);

	/* an index of itself, many times: 1000 to the power of the depth */
	str_add(&index, "{\"manifests\":[");
	for (int i = 0; i < 1000; i++)
		str_addf(&index, "%s{\"digest\":\"sha256:" INDEX "\"}", i ? "," : "");
	str_add(&index, "]}");
	str_clear(&tar);
	add(&tar, "blobs/sha256/" INDEX, str_text(&index));
	add(&tar, "index.json", str_text(&index));
	tar_end(&tar);
	is_int(pass(&tar, NULL, 65536, &err), -EINVAL, "an index of itself ends: %s", err.text);
	free(large);
	str_fini(&index);
	str_fini(&tar);
}

int main(void)
{
	docker();
	cut();
	none();
	oci();
	hostile();
	str_fini(&out);
	done_testing();
	return tap_end();
}
