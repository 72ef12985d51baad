"""Colours that several parts share."""

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R 601, as Pillow turns colour into grey
OUTLINE = (255, 64, 160)  # of a mask on a picture
